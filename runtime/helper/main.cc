// fermata-helper WHAT PATH: looks at PATH ("stat"), or makes what is missing there ("directory", "file"), and writes a
// PathAnswer. Started by PathHelper, which kills it if that takes too long.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/base/file.h"
#include "runtime/helper/answer.h"

namespace {

using namespace fermata;

int Make(const char* what, const char* path) {
  if (std::strcmp(what, "stat") == 0) return 0;
  if (std::strcmp(what, "directory") == 0) {
    const auto made = MakeDirectories(AT_FDCWD, path);
    return made ? 0 : made.error().saved_errno();
  }
  const auto made = OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0644);
  return made ? 0 : made.error().saved_errno();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  runtime::PathAnswer answer;
  answer.error = Make(argv[1], argv[2]);
  struct statx status {};
  if (answer.error == 0 && ::statx(AT_FDCWD, argv[2], 0, STATX_MNT_ID | STATX_TYPE | STATX_MODE, &status) != 0) {
    answer.error = errno;
  }
  answer.mode = status.stx_mode;
  answer.mount_id = status.stx_mnt_id;
  return ::write(STDOUT_FILENO, &answer, sizeof answer) == sizeof answer ? 0 : 1;
}
