// fermata-unpack: unpacks one layer for the daemon, confined. Started by unpack_process.cc with the descriptors of
// messages.h; a failure is reported through them, the exit status says only whether a report was written.
#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <new>

#include "overlay/byte_source.h"
#include "overlay/unpack.h"
#include "overlay/unpacker/confine.h"
#include "overlay/unpacker/messages.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

Result<> Report(const UnpackReport& report) {
  return WriteAll(kReportFd, {reinterpret_cast<const char*>(&report), sizeof report});
}

// Tells the daemon that the blob goes on, which is how it tells slow from stuck.
class ReportingSource : public ByteSource {
 public:
  explicit ReportingSource(ByteSource& inner) : inner_(inner) {}
  Result<size_t> Read(std::span<char> buffer) override {
    ASSIGN_OR_RETURN(const size_t count, inner_.Read(buffer));
    RETURN_IF_ERROR(Report({.kind = ReportKind::kProgress}), "report");
    return count;
  }

 private:
  ByteSource& inner_;
};

Result<UnpackRequest> ReadRequest() {
  UnpackRequest request;
  const ssize_t count = ::pread(kRequestFd, &request, sizeof request, 0);
  if (count < 0) return Error::Errno("request: pread");
  if (count != sizeof request) return Error::Make(ErrorCode::kInternal, "request: of another size");
  if (request.magic != kUnpackMagic) return Error::Make(ErrorCode::kInternal, "request: of another version");
  return request;
}

Result<UnpackedLayer> Run() {
  ASSIGN_OR_RETURN(const UnpackRequest request, ReadRequest());
  // Else libcrypto would look for its configuration when it is first used, in the layer.
  if (::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) != 1) {
    return Error::Make(ErrorCode::kInternal, "initialise libcrypto");
  }
  ASSIGN_OR_RETURN(const UniqueFd root, Confine(UniqueFd(kLayerFd), request.limits.max_bytes));
  FdSource stream(kBlobFd);
  RangeSource range(kBlobFd, request.offset, request.size);
  ReportingSource source(request.seekable != 0 ? static_cast<ByteSource&>(range) : stream);
  const LayerBlob blob{GetText(request.digest), request.size, GetText(request.diff_id)};
  return UnpackLayer(source, blob, root.get(), {.limits = request.limits, .frame_fd = kFrameFd});
}

UnpackReport RunToReport() {
  try {
    const auto layer = Run();
    if (!layer) return FailureReport(layer.error());
    UnpackReport report{.kind = ReportKind::kDone, .bytes = layer->usage.bytes, .inodes = layer->usage.inodes};
    SetText(report.digest, layer->digest);
    SetText(report.diff_id, layer->diff_id);
    return report;
  } catch (const std::bad_alloc&) {
    return FailureReport(Error::Make(ErrorCode::kResourceExhausted, "unpack layer: more memory than the limit of ",
                                     std::to_string(kUnpackerMemoryBytes >> 20), " MiB"));
  }
}

}  // namespace
}  // namespace fermata::overlay

int main() {
  const bool reported = static_cast<bool>(fermata::overlay::Report(fermata::overlay::RunToReport()));
  ::_exit(reported ? 0 : 1);  // nothing of the libraries may run that wants files
}
