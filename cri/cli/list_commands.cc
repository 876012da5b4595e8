// `fermata pods` and `fermata ps`.
#include <fmt/format.h>

#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/commands.h"
#include "cri/cli/listing.h"
#include "cri/cli/output.h"
#include "cri/cli/pod_text.h"

namespace fermata::cri::cli {
namespace {

using Shown = Column::Shown;

constexpr size_t kShortId = 12;

std::string StateWithCode(const fv1::ContainerStatus& container) {
  if (container.state() != "Exited" && container.state() != "CrashLoopBackOff") return container.state();
  return fmt::format("{} ({})", container.state(), container.exit_code());
}

Result<fv1::ListPodsResponse> FetchPods(const Client& client, bool all) {
  grpc::ClientContext context;
  fv1::ListPodsRequest request;
  fv1::ListPodsResponse response;
  request.set_all(all);
  RETURN_IF_ERROR(ToResult(client.pods->List(&context, request, &response)));
  return response;
}

Listing PodListing(const fv1::ListPodsResponse& pods, bool all) {
  Listing listing;
  listing.kind = "pod";
  listing.name_column = 1;
  listing.columns = {{"POD ID", "ID"},
                     {"NAME", "Name"},
                     {"NAMESPACE", "Namespace"},
                     {"READY", "Ready"},
                     {"STATUS", "Status"},
                     {"RESTARTS", "Restarts"},
                     {"AGE", "Age"},
                     {"IP", "IP"},
                     {"OWNER", "Owner", all ? Shown::kAlways : Shown::kWide},
                     {"UID", "UID", Shown::kWide},
                     {"MANIFEST", "Manifest", Shown::kWide},
                     {"PHASE", "Phase", Shown::kTemplates},
                     {"IPS", "IPs", Shown::kTemplates}};
  for (const fv1::PodStatus& pod : pods.pods()) {
    listing.rows.push_back(
        {pod.id().substr(0, kShortId), Printable(pod.name()), Printable(pod.namespace_()), ReadyText(pod),
         Printable(StatusText(pod)), RestartsText(pod, NowNs()), ShortAge(pod.created_at_unix_nanos(), NowNs()),
         pod.ips().empty() ? "<none>" : pod.ips(0), pod.owner(), Printable(pod.uid()),
         pod.manifest_file().empty() ? "<none>" : Printable(pod.manifest_file()), pod.phase(), Joined(pod.ips(), ",")});
  }
  return listing;
}

Listing ContainerListing(const fv1::ListPodsResponse& pods, bool all) {
  Listing listing;
  listing.kind = "container";
  listing.name_column = 2;
  listing.columns = {{"CONTAINER ID", "ID"},
                     {"POD", "Pod"},
                     {"NAME", "Name"},
                     {"IMAGE", "Image"},
                     {"STATE", "State"},
                     {"READY", "Ready"},
                     {"RESTARTS", "Restarts"},
                     {"CREATED", "Created"},
                     {"PID", "PID", Shown::kWide},
                     {"IMAGE ID", "ImageID", Shown::kWide},
                     {"NAMESPACE", "Namespace", Shown::kTemplates}};
  for (const fv1::PodStatus& pod : pods.pods()) {
    const auto add = [&](const fv1::ContainerStatus& container) {
      if (!all && container.state() != "Running") return;
      listing.rows.push_back({container.id().substr(0, kShortId), Printable(pod.name()), Printable(container.name()),
                              Printable(container.image()), StateWithCode(container), container.ready() ? "yes" : "no",
                              std::to_string(container.restart_count()),
                              Age(container.created_at_unix_nanos(), NowNs()),
                              container.pid() == 0 ? "-" : std::to_string(container.pid()),
                              ShortImageId(container.image_id()), Printable(pod.namespace_())});
    };
    for (const fv1::ContainerStatus& container : pod.init_containers()) add(container);
    for (const fv1::ContainerStatus& container : pod.containers()) add(container);
  }
  return listing;
}

}  // namespace

Result<int> ListPods(const Global& global, bool all) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  ASSIGN_OR_RETURN(const fv1::ListPodsResponse pods, FetchPods(client, all));
  // Beside the list, so that who reads it finds pods alone in it.
  for (const fv1::ManifestFile& file : pods.broken_files()) {
    std::cerr << "fermata: " << Printable(file.path()) << " counts for nothing: " << Printable(file.error()) << "\n";
  }
  return PrintListing(global, PodListing(pods, all), pods);
}

Result<int> ListContainers(const Global& global, bool all) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  ASSIGN_OR_RETURN(const fv1::ListPodsResponse pods, FetchPods(client, false));
  return PrintListing(global, ContainerListing(pods, all), pods);
}

}  // namespace fermata::cri::cli
