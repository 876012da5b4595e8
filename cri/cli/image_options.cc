#include "cri/cli/image_options.h"

#include <string>
#include <vector>

#include "cri/cli/image_commands.h"
#include "cri/cli/listing.h"

namespace fermata::cri::cli {
namespace {

// What the options of all these commands are read into; the command that was chosen is called when all are there.
struct Parsed {
  Global& global;
  std::function<Result<int>()>& command;
  PullOptions pull;
  RegistryOptions registry;
  LoginOptions login;
  std::vector<std::string> names;
  std::string name, other, path;
  bool all = false, dry_run = false, force = false, quiet = false, digests = false, repair = false;
};
using Shared = std::shared_ptr<Parsed>;

void AddRegistryOptions(CLI::App& command, RegistryOptions& options) {
  command.add_option("--creds", options.credentials,
                     "USER[:PASSWORD] for the registry; asks where there is no password");
  command.add_option(
      "--authfile", options.auth_file,
      "file of credentials in docker's form, looked at before $REGISTRY_AUTH_FILE and ~/.docker/config.json");
}

void AddTransfers(CLI::App& app, const Shared& p) {
  CLI::App* pull = app.add_subcommand("pull", "Pull images from their registries; prints their ids");
  pull->add_option("IMAGE", p->pull.images, "names: busybox, registry.example.com/team/app:1.2, name@sha256:...")
      ->required();
  pull->add_flag("-q,--quiet", p->pull.quiet, "only the ids, no progress");
  AddRegistryOptions(*pull, p->pull.registry);
  pull->callback([p] { p->command = [p] { return Pull(p->global, p->pull); }; });

  CLI::App* push = app.add_subcommand("push", "Push an image to a registry; prints the digest of its manifest");
  push->add_option("IMAGE", p->name, "name, digest or id")->required();
  push->add_option("DESTINATION", p->other, "name with a tag (default: IMAGE)");
  push->add_flag("-q,--quiet", p->quiet, "no progress");
  AddRegistryOptions(*push, p->registry);
  push->callback([p] { p->command = [p] { return Push(p->global, p->name, p->other, p->registry, p->quiet); }; });

  CLI::App* login = app.add_subcommand("login", "Check credentials with a registry and keep them");
  login->add_option("REGISTRY", p->login.registry, "host, or host:port")->required();
  login->add_option("-u,--username", p->login.username, "user name (default: asks)");
  login->add_option("-p,--password", p->login.password, "password; others on this machine can see it");
  login->add_flag("--password-stdin", p->login.password_stdin, "the password is the first line of standard input");
  login->add_option("--authfile", p->login.auth_file,
                    "where to keep them (default: $REGISTRY_AUTH_FILE, or /etc/fermata/auth.json)");
  login->callback([p] { p->command = [p] { return Login(p->global, p->login); }; });

  CLI::App* logout = app.add_subcommand("logout", "Forget the credentials for a registry");
  logout->add_option("REGISTRY", p->name, "host, or host:port")->required();
  logout->add_option("--authfile", p->path, "where they are kept");
  logout->callback([p] { p->command = [p] { return Logout(p->global, p->name, p->path); }; });
}

void AddArchives(CLI::App& image, const Shared& p) {
  CLI::App* import =
      image.add_subcommand("import", "Import an image: OCI archive or layout, docker save, or a root file system");
  import->add_option("FILE", p->path, "archive (plain, gzip or zstd), OCI layout directory, or - for standard input")
      ->required();
  import->add_option("NAME", p->name,
                     "name to give it (default: the names in the archive; a root file system has none)");
  import->callback([p] { p->command = [p] { return ImportImage(p->global, p->path, p->name);
};
}  // namespace
);

CLI::App* save = image.add_subcommand("export", "Write images as an OCI archive; they keep their ids");
save->add_option("IMAGE", p->names, "names, digests or ids")->required();
save->add_option("-o,--output", p->path, "the file, or - for standard output")->required();
save->callback([p] { p->command = [p] { return ExportImages(p->global, p->names, p->path); }; });
}  // namespace fermata::cri::cli

void AddLooks(CLI::App& image, const Shared& p) {
  CLI::App* ls = image.add_subcommand("ls", "List images");
  ls->add_flag("--digests", p->digests, "with digests");
  ls->add_flag("-q,--quiet", p->quiet, "only ids");
  AddListOptions(*ls, p->global);
  ls->callback([p] { p->command = [p] { return ListImages(p->global, p->digests, p->quiet); }; });

  CLI::App* inspect = image.add_subcommand("inspect", "Print all that is known of images, as JSON");
  inspect->add_option("IMAGE", p->names, "names, digests or ids")->required();
  inspect->callback([p] { p->command = [p] { return InspectImages(p->global, p->names); }; });

  CLI::App* verify = image.add_subcommand(
      "verify", "Read all layers and compare them with what was unpacked; the exit status is 1 if one is damaged");
  verify->add_option("IMAGE", p->name, "name, digest or id (default: all images)");
  verify->add_flag("--repair", p->repair, "fetch damaged layers again from the registry that they came from");
  verify->callback([p] { p->command = [p] { return VerifyImages(p->global, p->name, p->repair); }; });
}

void AddChanges(CLI::App& image, const Shared& p) {
  CLI::App* tag = image.add_subcommand("tag", "Give an image one more name");
  tag->add_option("IMAGE", p->name, "name, digest or id")->required();
  tag->add_option("NAME", p->other, "the new name")->required();
  tag->callback([p] { p->command = [p] { return TagImage(p->global, p->name, p->other); }; });

  CLI::App* rm = image.add_subcommand("rm", "Remove names, and images with their last one");
  rm->add_option("IMAGE", p->names, "names, digests or ids")->required();
  rm->add_flag("-f,--force", p->force, "the images with all their names, also those that containers use");
  rm->callback([p] { p->command = [p] { return RemoveImages(p->global, p->names, p->force); }; });

  CLI::App* prune = image.add_subcommand("prune", "Remove images without a name that no container uses");
  prune->add_flag("-a,--all", p->all, "also those with a name");
  prune->add_flag("--dry-run", p->dry_run, "only tell what would go, and what it would free");
  prune->callback([p] { p->command = [p] { return PruneImages(p->global, p->all, p->dry_run); }; });
}

}  // namespace

void AddImageCommands(CLI::App& app, Global& global, std::function<Result<int>()>& command) {
  const auto parsed = std::make_shared<Parsed>(Parsed{global, command, {}, {}, {}, {}, {}, {}, {}});
  AddTransfers(app, parsed);
  CLI::App* image = app.add_subcommand("image", "Images");
  image->require_subcommand(1);
  AddLooks(*image, parsed);
  AddArchives(*image, parsed);
  AddChanges(*image, parsed);
}

}  // namespace fermata::cri::cli
