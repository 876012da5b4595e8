// An image archive and the images in it. Read in place and through a spool it has the same index and the same images:
// two readers that take one archive differently are how a checked image becomes another one.
#include <sys/mman.h>

#include "overlay/image/archive.h"
#include "overlay/image/reference.h"
#include "overlay/image/resolve.h"
#include "tests/fuzz/scratch.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

void CheckArchiveError(const Error& error) {
  if (error.code() != ErrorCode::kUnimplemented) fuzz::CheckError(error);  // what `docker save` writes
}

struct Found {
  std::string index_json;
  std::vector<std::string> ids;
};

Result<Found> ReadArchive(int fd, int scratch_dir) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ImageArchive> archive,
                   ImageArchive::Open(fd, scratch_dir, "fuzz.local/image:1"));
  Found found{archive->index_json(), {}};
  const auto images = ResolveIndex(*archive, archive->index_json(), "");
  if (!images) {
    fuzz::CheckError(images.error());
    return found;
  }
  for (const NewImage& image : *images) {
    found.ids.push_back(image.id());
    for (const std::string& tag : image.tags) Check(ParseReference(tag).has_value(), "a tag that is none: " + tag);
  }
  return found;
}

void CheckArchive(std::string_view bytes, fuzz::Scratch& scratch) {
  const UniqueFd file(::memfd_create("archive", MFD_CLOEXEC));
  Check(WriteAll(file.get(), bytes).has_value() && ::lseek(file.get(), 0, SEEK_SET) == 0, "memory file");
  const auto in_place = ReadArchive(file.get(), scratch.in());
  if (!in_place) CheckArchiveError(in_place.error());
  scratch.CheckAndRenew();

  int ends[2] = {-1, -1};
  Check(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  if (::fcntl(writer.get(), F_SETPIPE_SZ, 1 << 20) < static_cast<int>(bytes.size())) return;
  Check(WriteAll(writer.get(), bytes).has_value(), "pipe");
  writer.Reset();
  const auto spooled = ReadArchive(reader.get(), scratch.in());
  if (!spooled) CheckArchiveError(spooled.error());
  scratch.CheckAndRenew();
  if (!in_place || !spooled) return;
  Check(in_place->index_json == spooled->index_json, "another index when spooled");
  Check(in_place->ids == spooled->ids, "other images when spooled");
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fermata::fuzz::Scratch scratch;
  fermata::overlay::CheckArchive(fermata::fuzz::TextOf(data, size), scratch);
  return 0;
}
