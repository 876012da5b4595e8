#include "cri/cli/image_commands.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

#include "cri/cli/archive_stream.h"
#include "cri/cli/client.h"
#include "cri/cli/listing.h"
#include "cri/cli/output.h"
#include "cri/cli/pull_progress.h"
#include "cri/cli/registry_login.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"

namespace fermata::cri::cli {
namespace {

Result<> SetCredentials(const RegistryOptions& options, const std::string& image, fv1::RegistryCredentials* message) {
  ASSIGN_OR_RETURN(const auto found, FindUserCredentials(options.credentials, options.auth_file, image));
  if (!found) return {};
  message->set_username(found->username);
  message->set_password(found->password);
  message->set_identity_token(found->identity_token);
  message->set_registry_token(found->registry_token);
  return {};
}

int Columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

Result<fv1::ImageInfo> PullOne(const Client& client, const std::string& image, const PullOptions& options) {
  grpc::ClientContext context;
  fv1::PullImageRequest request;
  request.set_image(image);
  RETURN_IF_ERROR(SetCredentials(options.registry, image, request.mutable_credentials()));
  const auto reader = client.images->Pull(&context, request);
  PullDisplay display(::isatty(STDERR_FILENO) == 1, Columns());
  fv1::PullProgress progress;
  fv1::ImageInfo pulled;
  while (reader->Read(&progress)) {
    if (progress.has_image()) pulled = progress.image();
    if (!options.quiet) std::cerr << display.Update(progress, std::chrono::steady_clock::now()) << std::flush;
  }
  RETURN_IF_ERROR(ToResult(reader->Finish()));
  return pulled;
}

std::string NamesOf(const fv1::ImageInfo& image) {
  const std::string names = image.tags().empty() ? Joined(image.digests(), ", ") : Joined(image.tags(), ", ");
  return names.empty() ? "<none>" : Printable(names);
}

}  // namespace

Result<int> Pull(const Global& global, const PullOptions& options) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  for (const std::string& image : options.images) {
    if (!options.quiet && options.images.size() > 1) std::cerr << Printable(image) << "\n";
    ASSIGN_OR_RETURN(const fv1::ImageInfo pulled, PullOne(client, image, options));
    if (global.json) {
      RETURN_IF_ERROR(PrintJson(pulled));
    } else {
      std::cout << pulled.id() << "\n";
    }
  }
  return 0;
}

Result<int> Push(const Global& global, const std::string& image, const std::string& destination,
                 const RegistryOptions& registry, bool quiet) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::PushImageRequest request;
  request.set_image(image);
  request.set_destination(destination);
  RETURN_IF_ERROR(SetCredentials(registry, destination.empty() ? image : destination, request.mutable_credentials()));
  const auto reader = client.images->Push(&context, request);
  fv1::PushProgress progress;
  std::string digest;
  while (reader->Read(&progress)) {
    digest = progress.digest();
    if (!quiet && !progress.step().empty()) std::cerr << Printable(progress.step()) << "\n";
  }
  RETURN_IF_ERROR(ToResult(reader->Finish()));
  std::cout << digest << "\n";
  return 0;
}

Result<int> ImportImage(const Global& global, const std::string& path, const std::string& name) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ImportResponse response;
  const auto writer = client.images->Import(&context, &response);
  fv1::ImportRequest part;
  part.set_name(name);
  bool wanted = writer->Write(part);
  part.clear_name();
  const Result<> sent = StreamArchive(path, [&](std::string_view data) {
    part.set_data(data.data(), data.size());
    wanted = wanted && writer->Write(part);
    return wanted;
  });
  // When the daemon left in the middle its reason counts, not our broken pipe.
  if (!sent && wanted) {
    context.TryCancel();
    (void)writer->Finish();
    return Error(sent.error()).WithCode(ErrorCode::kInvalidArgument);
  }
  (void)writer->WritesDone();
  RETURN_IF_ERROR(ToResult(writer->Finish()));
  if (global.json) return PrintJson(response);
  for (const fv1::ImageInfo& image : response.images()) {
    std::cout << ShortImageId(image.id()) << "  " << Printable(Joined(image.tags(), ", ")) << "\n";
  }
  return 0;
}

Result<int> ExportImages(const Global& global, const std::vector<std::string>& images, const std::string& path) {
  const bool to_stdout = path == "-";
  if (to_stdout && ::isatty(STDOUT_FILENO) == 1) {
    return Error::Make(ErrorCode::kInvalidArgument, "an archive is not for a terminal: use -o FILE");
  }
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ExportImagesRequest request;
  for (const std::string& image : images) request.add_images(image);
  const auto reader = client.images->Export(&context, request);
  // The file appears when it is whole.
  const std::string temporary = path + ".new";
  UniqueFd file;
  if (!to_stdout) {
    ASSIGN_OR_RETURN(file, OpenAt(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
  }
  fv1::ExportChunk chunk;
  Result<> done;
  while (done && reader->Read(&chunk)) done = WriteAll(to_stdout ? STDOUT_FILENO : file.get(), chunk.data());
  if (!done) context.TryCancel();
  const Result<> finished = ToResult(reader->Finish());
  if (done) done = finished;
  if (!to_stdout && done && ::rename(temporary.c_str(), path.c_str()) != 0) done = Error::Errno("rename ", temporary);
  if (!to_stdout && !done) (void)::unlink(temporary.c_str());
  if (!done) return std::move(done).error();
  return 0;
}

Result<int> ListImages(const Global& global, bool digests, bool quiet) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ListImagesResponse response;
  RETURN_IF_ERROR(ToResult(client.images->List(&context, {}, &response)));
  if (quiet && global.output.empty() && global.format.empty()) {
    for (const fv1::ImageInfo& image : response.images()) std::cout << image.id() << "\n";
    return 0;
  }
  using Shown = Column::Shown;
  Listing listing;
  listing.kind = "image";
  listing.name_column = 1;
  listing.columns = {{"IMAGE ID", "ID"},
                     {"NAMES", "Names"},
                     {"SIZE", "Size"},
                     {"CREATED", "Created"},
                     {"DIGESTS", "Digests", digests ? Shown::kAlways : Shown::kWide},
                     {"PINNED", "Pinned", Shown::kWide}};
  for (const fv1::ImageInfo& image : response.images()) {
    listing.rows.push_back({ShortImageId(image.id()), NamesOf(image), HumanBytes(image.size_bytes()),
                            Age(image.created_at_unix_nanos(), NowNs()), Printable(Joined(image.digests(), ", ")),
                            image.pinned() ? "yes" : "no"});
  }
  return PrintListing(global, listing, response);
}

Result<int> InspectImages(const Global& global, const std::vector<std::string>& images) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  Json list = Json::array();
  for (const std::string& image : images) {
    grpc::ClientContext context;
    fv1::InspectImageRequest request;
    fv1::InspectImageResponse response;
    request.set_image(image);
    RETURN_IF_ERROR(ToResult(client.images->Inspect(&context, request, &response)));
    ASSIGN_OR_RETURN(list.emplace_back(), ParseJson(response.json(), "answer of the daemon"));
  }
  std::cout << list.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return 0;
}

Result<int> TagImage(const Global& global, const std::string& image, const std::string& tag) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::TagImageRequest request;
  fv1::TagImageResponse response;
  request.set_image(image);
  request.set_tag(tag);
  RETURN_IF_ERROR(ToResult(client.images->Tag(&context, request, &response)));
  return 0;
}

Result<int> RemoveImages(const Global& global, const std::vector<std::string>& images, bool force) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  for (const std::string& image : images) {
    grpc::ClientContext context;
    fv1::RemoveImageRequest request;
    fv1::RemoveImageResponse response;
    request.set_image(image);
    request.set_name_only(!force);
    RETURN_IF_ERROR(ToResult(client.images->Remove(&context, request, &response)));
    std::cout << (response.image_removed() ? "removed " : "untagged ") << Printable(response.removed()) << "\n";
  }
  return 0;
}

Result<int> PruneImages(const Global& global, bool all, bool dry_run) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::PruneImagesRequest request;
  fv1::PruneImagesResponse response;
  request.set_all(all);
  request.set_dry_run(dry_run);
  RETURN_IF_ERROR(ToResult(client.images->Prune(&context, request, &response)));
  if (global.json) return PrintJson(response);
  for (const fv1::ImageInfo& image : response.images()) {
    std::cout << ShortImageId(image.id()) << "  " << NamesOf(image) << "\n";
  }
  std::cout << fmt::format("{} {} of {} image{}\n", dry_run ? "would free" : "freed",
                           HumanBytes(response.freed_bytes()), response.images_size(),
                           response.images_size() == 1 ? "" : "s");
  return 0;
}

Result<int> VerifyImages(const Global& global, const std::string& image, bool repair) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::VerifyImagesRequest request;
  fv1::VerifyImagesResponse response;
  request.set_image(image);
  request.set_repair(repair);
  RETURN_IF_ERROR(ToResult(client.images->Verify(&context, request, &response)));
  bool good = true;
  for (const fv1::LayerDamage& layer : response.damaged()) good = good && layer.repaired();
  if (global.json) {
    RETURN_IF_ERROR(PrintJson(response));
    return good ? 0 : 1;
  }
  for (const fv1::LayerDamage& layer : response.damaged()) {
    const std::string name = layer.image_name().empty() ? layer.image_id() : layer.image_name();
    std::cout << fmt::format("{}: layer {}: {}", Printable(name), layer.diff_id(), Printable(layer.reason()));
    if (layer.repaired()) std::cout << ": repaired";
    if (!layer.repair_error().empty()) std::cout << ": not repaired: " << Printable(layer.repair_error());
    std::cout << "\n";
  }
  if (response.damaged().empty()) {
    std::cout << fmt::format("{} image{}: whole\n", response.images(), response.images() == 1 ? "" : "s");
  } else if (!repair) {
    std::cerr << "fetch them again with: fermata image verify --repair\n";
  }
  return good ? 0 : 1;
}

Result<int> Login(const Global& global, const LoginOptions& options) {
  overlay::Credentials credentials;
  credentials.username = options.username;
  if (credentials.username.empty()) {
    std::cerr << "Username: " << std::flush;
    if (!std::getline(std::cin, credentials.username) || credentials.username.empty()) {
      return Error::Make(ErrorCode::kInvalidArgument, "login: no user name; give it with --username");
    }
  }
  credentials.password = options.password;
  if (credentials.password.empty()) {
    ASSIGN_OR_RETURN(credentials.password, ReadPassword(options.password_stdin ? "" : "Password: "), "login");
  }
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::CheckLoginRequest request;
  fv1::CheckLoginResponse response;
  request.set_registry(options.registry);
  request.mutable_credentials()->set_username(credentials.username);
  request.mutable_credentials()->set_password(credentials.password);
  RETURN_IF_ERROR(ToResult(client.images->CheckLogin(&context, request, &response)));
  const std::string file = LoginFile(options.auth_file);
  RETURN_IF_ERROR(StoreCredentials(file, options.registry, credentials), "login");
  std::cout << "login to " << Printable(options.registry) << " succeeded; kept in " << file << "\n";
  return 0;
}

Result<int> Logout(const Global&, const std::string& registry, const std::string& auth_file) {
  const std::string file = LoginFile(auth_file);
  ASSIGN_OR_RETURN(const bool found, ForgetCredentials(file, registry), "logout");
  if (!found) return Error::Make(ErrorCode::kNotFound, "not logged in to ", registry, " by ", file);
  std::cout << "removed the login to " << Printable(registry) << " from " << file << "\n";
  return 0;
}

}  // namespace fermata::cri::cli
