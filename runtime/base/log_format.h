// How a log line looks. Each works on the thread that logs, whose ids it reads (operation.h).
#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fermata::log {

using Ids = std::vector<std::pair<const char*, std::string>>;

// "2026-01-31T12:00:00.123+0000 info what happened sandbox=1234 pod=default/web"
std::unique_ptr<spdlog::formatter> TextFormat();
// {"time":"...","level":"info","message":"what happened","sandbox":"1234"}
std::unique_ptr<spdlog::formatter> JsonFormat();

// Control bytes as \xNN, the end of a line as \n.
std::string OneLine(std::string_view text);

// A datagram for the journal: PRIORITY, SYSLOG_IDENTIFIER, MESSAGE and FERMATA_SANDBOX and its like.
// Source: systemd, "Native Journal Protocol".
std::string JournalEntry(int priority, std::string_view message, const Ids& ids);

}  // namespace fermata::log
