#include "runtime/base/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "runtime/base/file.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

namespace fermata {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

// With `flag` where the kernel knows it (6.3), else without: EINVAL is the answer of an older one.
Result<UniqueFd> Create(const std::string& name, unsigned flag) {
  int fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | flag);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return Error::Errno("memfd_create ", name);
  return UniqueFd(fd);
}

}  // namespace

Result<UniqueFd> SealedProgram(const std::string& name, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string program, ReadFileAt(AT_FDCWD, path, size_t{256} << 20));
  ASSIGN_OR_RETURN(UniqueFd fd, Create(name, MFD_EXEC));
  RETURN_IF_ERROR(WriteAll(fd.get(), program), name);
  if (::fchmod(fd.get(), 0555) != 0) return Error::Errno("chmod ", name);
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals | F_SEAL_EXEC) != 0 && ::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return Error::Errno("seal ", name);
  }
  return fd;
}

Result<UniqueFd> SealedData(const std::string& name, std::string_view data) {
  ASSIGN_OR_RETURN(UniqueFd fd, Create(name, MFD_NOEXEC_SEAL));
  RETURN_IF_ERROR(WriteAll(fd.get(), data), name);
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return Error::Errno("seal ", name);
  return fd;
}

}  // namespace fermata
