#include "overlay/image/archive.h"

namespace fermata::overlay {
namespace {

Error Invalid(std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "read image archive: ", reason);
}

}  // namespace

Result<std::unique_ptr<ImageArchive>> ImageArchive::Open(int archive_fd, int scratch_dir, const std::string& name) {
  std::unique_ptr<ImageArchive> archive(new ImageArchive());
  ASSIGN_OR_RETURN(archive->files_, ArchiveFiles::Scan(archive_fd, scratch_dir));
  RETURN_IF_ERROR(archive->Recognise(name));
  return archive;
}

Result<> ImageArchive::Recognise(const std::string& name) {
  const ArchiveFiles& files = *files_;
  if (files.HasImage() && files.problem()) return *files.problem();
  if (files.Has("index.json")) {
    ASSIGN_OR_RETURN(const std::string layout, files.ReadDocument("oci-layout"));
    RETURN_IF_ERROR(CheckLayoutVersion(layout), "read image archive");
    ASSIGN_OR_RETURN(made_up_.index_json, files.ReadDocument("index.json"));
    return {};
  }
  if (files.Has("manifest.json")) {
    ASSIGN_OR_RETURN(made_up_, ReadDockerArchive(files), "read image archive");
    return {};
  }
  if (files.Has("repositories")) {
    return Invalid(
        "'repositories' without manifest.json: written by a docker older than 1.10; "
        "load it there and save it with a newer one");
  }
  if (files.HasImage()) return Invalid("parts of an OCI image layout, but index.json is missing: it may be cut short");
  if (files.entries() == 0) return Invalid("an empty tar: neither an image nor a root file system");
  if (name.empty()) {
    if (files.problem()) return *files.problem();
    return Invalid(
        "neither index.json (OCI image layout) nor manifest.json (docker save) is in it; "
        "if it is a root file system, give the image a NAME");
  }
  ASSIGN_OR_RETURN(made_up_, ReadRootFilesystem(files), "read root file system");
  return {};
}

Result<std::unique_ptr<ByteSource>> ImageArchive::Open(const Descriptor& blob) const {
  if (auto made_up = made_up_.Open(blob.digest)) return made_up;
  const std::string name = "blobs/sha256/" + HexOf(blob.digest);
  if (!files_->Has(name)) return Invalid("blob " + blob.digest + " is missing");
  ASSIGN_OR_RETURN(const ArchiveRange range, files_->Find(name));
  if (range.size != blob.size_bytes) {
    return Invalid("blob " + blob.digest + " has " + std::to_string(range.size) + " bytes, the image says " +
                   std::to_string(blob.size_bytes));
  }
  return range.Open();
}

}  // namespace fermata::overlay
