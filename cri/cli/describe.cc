#include "cri/cli/describe.h"

#include <fmt/format.h>

#include <ctime>
#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/commands.h"
#include "cri/cli/event_table.h"
#include "cri/cli/listing.h"
#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

using Words = google::protobuf::RepeatedPtrField<std::string>;

std::string TimeText(int64_t unix_ns) {
  if (unix_ns == 0) return "-";
  const time_t seconds = unix_ns / 1'000'000'000;
  tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S %z", &parts)};
}

// Lines "name: value", the values below each other.
class Page {
 public:
  void Line(int depth, std::string_view name, const std::string& value) {
    constexpr int kColumn = 18;
    const std::string begin = std::string(2 * depth, ' ') + std::string(name) + ":";
    text_ += value.empty() ? begin + "\n" : fmt::format("{:<{}} {}\n", begin, kColumn, Printable(value));
  }
  void List(int depth, std::string_view name, const Words& values) {
    Line(depth, name, values.empty() ? "<none>" : "");
    for (const std::string& value : values) text_ += std::string(2 * depth + 2, ' ') + Printable(value) + "\n";
  }
  void Rows(const std::vector<std::vector<std::string>>& rows) {
    std::string table = FormatTable(rows);
    for (size_t begin = 0; begin < table.size(); begin = table.find('\n', begin) + 1) {
      text_ += "  " + table.substr(begin, table.find('\n', begin) + 1 - begin);
    }
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

void AddEnd(Page& page, const fv1::ContainerEnd& end) {
  if (!end.reason().empty()) page.Line(3, "Reason", end.reason());
  if (!end.message().empty()) page.Line(3, "Message", end.message());
  page.Line(3, "Exit Code", std::to_string(end.exit_code()));
  page.Line(3, "Started", TimeText(end.started_at_unix_nanos()));
  page.Line(3, "Finished", TimeText(end.finished_at_unix_nanos()));
}

void AddState(Page& page, const fv1::ContainerStatus& status) {
  if (status.state() == "Running") {
    page.Line(2, "State", "Running");
    page.Line(3, "Started", TimeText(status.started_at_unix_nanos()));
  } else if (status.state() == "Exited") {
    page.Line(2, "State", "Terminated");
    fv1::ContainerEnd end;
    end.set_reason(status.reason());
    end.set_message(status.message());
    end.set_exit_code(status.exit_code());
    end.set_started_at_unix_nanos(status.started_at_unix_nanos());
    end.set_finished_at_unix_nanos(status.finished_at_unix_nanos());
    AddEnd(page, end);
  } else if (status.state() == "CrashLoopBackOff") {
    page.Line(2, "State", "Waiting");
    page.Line(3, "Reason", status.state());
  } else {
    page.Line(2, "State", status.state());
  }
  if (!status.has_last()) return;
  page.Line(2, "Last State", "Terminated");
  AddEnd(page, status.last());
}

void AddContainer(Page& page, const fv1::ContainerStatus& status, const fv1::PlannedPod& planned) {
  page.Line(1, Printable(status.name()), "");
  const fv1::PlannedContainer* plan = nullptr;
  for (const fv1::PlannedContainer& each : planned.containers()) {
    if (each.name() == status.name()) plan = &each;
  }
  if (!status.id().empty()) page.Line(2, "Container ID", status.id());
  page.Line(2, "Image", !status.image().empty() || plan == nullptr ? status.image() : plan->image());
  if (!status.image_id().empty()) page.Line(2, "Image ID", status.image_id());
  if (plan != nullptr && !plan->command().empty()) page.Line(2, "Command", Joined(plan->command(), " "));
  AddState(page, status);
  page.Line(2, "Ready", status.ready() ? "True" : "False");
  page.Line(2, "Restart Count", std::to_string(status.restart_count()));
  if (plan == nullptr) return;
  if (!plan->probes().empty()) page.List(2, "Probes", plan->probes());
  if (!plan->variables().empty()) page.Line(2, "Environment", Joined(plan->variables(), ", "));
  page.List(2, "Mounts", plan->mounts());
}

void AddConditions(Page& page, const fv1::PodStatus& status) {
  page.Line(0, "Conditions", "");
  std::vector<std::vector<std::string>> rows = {{"Type", "Status", "Reason"}};
  for (const fv1::PodCondition& condition : status.conditions()) {
    rows.push_back({condition.type(), condition.status() ? "True" : "False", condition.reason()});
  }
  page.Rows(rows);
}

void AddEvents(Page& page, const google::protobuf::RepeatedPtrField<fv1::PodEvent>& events, int64_t now_ns) {
  page.Line(0, "Events", events.empty() ? "<none>" : "");
  if (events.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"Type", "Reason", "Age", "From", "Message"}};
  for (const fv1::PodEvent& event : events) {
    rows.push_back({event.type(), Printable(event.reason()), LastSeen(event, now_ns),
                    event.container().empty() ? "-" : Printable(event.container()), Printable(event.message())});
  }
  page.Rows(rows);
}

void AddHead(Page& page, const fv1::PodStatus& status) {
  page.Line(0, "Name", status.name());
  page.Line(0, "Namespace", status.namespace_());
  page.Line(0, "ID", status.id());
  page.Line(0, "UID", status.uid());
  page.Line(0, "Owner", status.owner());
  if (status.attempt() > 0) page.Line(0, "Attempt", std::to_string(status.attempt()));
  if (!status.manifest_file().empty()) page.Line(0, "Manifest", status.manifest_file());
  page.Line(0, "Start Time", TimeText(status.created_at_unix_nanos()));
  page.Line(0, "Status", status.phase());
  if (!status.reason().empty()) page.Line(0, "Reason", status.reason());
  page.Line(0, "IPs", status.ips().empty() ? "<none>" : Joined(status.ips(), ", "));
}

}  // namespace

std::string DescribeText(const fv1::DescribePodResponse& pod, int64_t now_ns) {
  Page page;
  const fv1::PodStatus& status = pod.status();
  AddHead(page, status);
  if (!pod.planned().host_ports().empty()) page.Line(0, "Host Ports", Joined(pod.planned().host_ports(), ", "));
  if (!status.init_containers().empty()) page.Line(0, "Init Containers", "");
  for (const fv1::ContainerStatus& each : status.init_containers()) AddContainer(page, each, pod.planned());
  page.Line(0, "Containers", "");
  for (const fv1::ContainerStatus& each : status.containers()) AddContainer(page, each, pod.planned());
  AddConditions(page, status);
  if (pod.has_planned()) page.List(0, "Volumes", pod.planned().volumes());
  AddEvents(page, pod.events(), now_ns);
  return std::move(page).text();
}

Result<int> Describe(const Global& global, const std::vector<std::string>& pods) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  for (const std::string& pod : pods) {
    grpc::ClientContext context;
    fv1::DescribePodRequest request;
    fv1::DescribePodResponse response;
    request.set_pod(pod);
    RETURN_IF_ERROR(ToResult(client.pods->Describe(&context, request, &response)));
    if (!global.output.empty()) {
      RETURN_IF_ERROR(PrintMessage(global, response));
      continue;
    }
    if (&pod != &pods.front()) std::cout << "\n";
    std::cout << DescribeText(response, NowNs());
  }
  return 0;
}

}  // namespace fermata::cri::cli
