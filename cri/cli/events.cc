// `fermata events`.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/commands.h"
#include "cri/cli/event_table.h"
#include "cri/cli/listing.h"
#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

constexpr auto kReconnect = std::chrono::seconds(15);

const std::vector<std::string> kTitles = {"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"};

// What comes later is not known, so the columns are as wide as is usual.
std::string FollowedRow(const std::vector<std::string>& cells) {
  constexpr std::array kWidths = {12, 8, 20, 24};
  std::string text;
  for (size_t i = 0; i < kWidths.size(); ++i) text += fmt::format("{:<{}}  ", cells[i], kWidths[i]);
  return text + cells.back() + "\n";
}

Result<> Follow(const Global& global, const Client& client, const fv1::ListEventsRequest& request) {
  if (!global.json) std::cout << FollowedRow(kTitles) << std::flush;
  for (;;) {
    grpc::ClientContext context;
    const auto reader = client.pods->WatchEvents(&context, request);
    fv1::PodEvent event;
    while (reader->Read(&event)) {
      std::cout << (global.json ? JsonOf(event, false) + "\n" : FollowedRow(EventRow(event, NowNs()))) << std::flush;
    }
    const grpc::Status status = reader->Finish();
    const bool lost =
        status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::CANCELLED;
    if (!lost) return ToResult(status);
    // A daemon that has been started again begins with no events, so that none is shown twice.
    if (!client.channel->WaitForConnected(std::chrono::system_clock::now() + kReconnect)) return ToResult(status);
  }
}

Listing EventListing(const fv1::ListEventsResponse& events) {
  using Shown = Column::Shown;
  Listing listing;
  listing.kind = "event";
  listing.name_column = 3;
  listing.columns = {{"LAST SEEN", "LastSeen"},
                     {"TYPE", "Type"},
                     {"REASON", "Reason"},
                     {"OBJECT", "Object"},
                     {"MESSAGE", "Message"},
                     {"COUNT", "Count", Shown::kWide},
                     {"FIRST SEEN", "FirstSeen", Shown::kWide}};
  for (const fv1::PodEvent& event : events.events()) {
    std::vector<std::string>& row = listing.rows.emplace_back(EventRow(event, NowNs()));
    row.push_back(std::to_string(event.count()));
    row.push_back(ShortAge(event.first_unix_nanos(), NowNs()));
  }
  return listing;
}

}  // namespace

std::string LastSeen(const fv1::PodEvent& event, int64_t now_ns) {
  const std::string last = ShortAge(event.last_unix_nanos(), now_ns);
  if (event.count() < 2) return last;
  return fmt::format("{} (x{} over {})", last, event.count(), ShortAge(event.first_unix_nanos(), now_ns));
}

std::vector<std::string> EventRow(const fv1::PodEvent& event, int64_t now_ns) {
  const std::string object = "pod/" + event.pod() + (event.container().empty() ? "" : "/" + event.container());
  return {LastSeen(event, now_ns), event.type(), Printable(event.reason()), Printable(object),
          Printable(event.message())};
}

Result<int> Events(const Global& global, const EventsOptions& options) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  fv1::ListEventsRequest request;
  request.set_pod(options.pod);
  if (options.follow) {
    if (!global.format.empty() || (!global.output.empty() && global.output != "json")) {
      return Error::Make(ErrorCode::kInvalidArgument, "--follow prints a table, or JSON lines with -o json");
    }
    RETURN_IF_ERROR(Follow(global, client, request));
    return 0;
  }
  grpc::ClientContext context;
  fv1::ListEventsResponse response;
  RETURN_IF_ERROR(ToResult(client.pods->ListEvents(&context, request, &response)));
  return PrintListing(global, EventListing(response), response);
}

}  // namespace fermata::cri::cli
