// `fermata apply`.
#include "cri/cli/apply.h"

#include <iostream>

#include "cri/cli/listing.h"
#include "cri/cli/manifest_file.h"
#include "cri/cli/output.h"
#include "cri/cli/wait.h"

namespace fermata::cri::cli {
namespace {

const char* ActionText(const fv1::PodChange& change, bool dry_run) {
  switch (change.action()) {
    case fv1::PodChange::CREATED:
      return dry_run ? "would be created" : "created";
    case fv1::PodChange::UNCHANGED:
      return "unchanged";
    default:
      return dry_run ? "would be replaced" : "replaced";
  }
}

void PrintChange(const fv1::PodChange& change, bool dry_run) {
  std::cout << "pod/" << Printable(change.name()) << " " << ActionText(change, dry_run) << "\n";
  for (const fv1::FieldChange& field : change.fields()) {
    std::cout << "  " << Printable(field.path()) << "\n  - " << Printable(field.before()) << "\n  + "
              << Printable(field.after()) << "\n";
  }
}

}  // namespace

Result<fv1::ApplyResponse> SendManifest(const Client& client, const std::string& text, const RunOptions& options,
                                        fv1::ApplyRequest::Existing existing) {
  grpc::ClientContext context;
  fv1::ApplyRequest request;
  fv1::ApplyResponse applied;
  request.set_manifest(text);
  request.set_file_name(ShownName(options.file));
  request.set_allow_ignored(options.allow_ignored);
  request.set_dry_run(options.dry_run);
  request.set_existing(existing);
  RETURN_IF_ERROR(ToResult(client.pods->Apply(&context, request, &applied)));
  for (const std::string& ignored : applied.ignored()) std::cerr << "fermata: " << Printable(ignored) << "\n";
  return applied;
}

Result<int> Apply(const Global& global, const RunOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadManifest(options.file));
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  const auto existing =
      options.replace || options.dry_run ? fv1::ApplyRequest::CHANGE_OR_REPLACE : fv1::ApplyRequest::CHANGE;
  ASSIGN_OR_RETURN(const fv1::ApplyResponse applied, SendManifest(client, text, options, existing));
  if (!global.output.empty()) {
    RETURN_IF_ERROR(PrintMessage(global, applied));
  } else {
    for (const fv1::PodChange& change : applied.changes()) PrintChange(change, options.dry_run);
  }
  std::cout << std::flush;
  return options.dry_run ? Result<int>(0) : WaitForPods(client, applied, options);
}

}  // namespace fermata::cri::cli
