#include "runtime/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <array>

namespace fermata::log {

Result<> Setup(const std::string& level) {
  constexpr std::array<std::string_view, 5> kLevels = {"trace", "debug", "info", "warn", "error"};
  for (const std::string_view known : kLevels) {
    if (known != level) continue;
    auto logger = std::make_shared<spdlog::logger>("fermata", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_level(spdlog::level::from_str(level));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
    return {};
  }
  return Error::Make(ErrorCode::kInvalidArgument, "log level ", level, ": use trace, debug, info, warn or error");
}

}  // namespace fermata::log
