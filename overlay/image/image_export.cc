#include "overlay/image/image_export.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "overlay/image/reference.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar";
constexpr size_t kBufferBytes = size_t{256} << 10;

// A tar that goes to a sink.
class Archive {
 public:
  static Result<std::unique_ptr<Archive>> Open(const ByteSink& sink) {
    std::unique_ptr<Archive> made(new Archive(sink));
    archive* handle = made->handle_.get();
    if (handle == nullptr) return Error::Make(ErrorCode::kResourceExhausted, "no memory");
    const bool good = archive_write_set_format_pax_restricted(handle) == ARCHIVE_OK &&
                      archive_write_set_bytes_per_block(handle, static_cast<int>(kBufferBytes)) == ARCHIVE_OK &&
                      archive_write_set_bytes_in_last_block(handle, 1) == ARCHIVE_OK &&
                      archive_write_open(handle, made.get(), nullptr, &Archive::Write, nullptr) == ARCHIVE_OK;
    if (!good) return made->Failure();
    return made;
  }

  Result<> AddFile(const std::string& name, uint64_t size, ByteSource& source) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(), &archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), static_cast<int64_t>(size));
    archive_entry_set_mtime(entry.get(), 0, 0);  // the same images give the same archive
    if (archive_write_header(handle_.get(), entry.get()) != ARCHIVE_OK) return Failure();
    std::vector<char> buffer(kBufferBytes);
    for (;;) {
      ASSIGN_OR_RETURN(const size_t count, source.Read(buffer), name);
      if (count == 0) break;
      if (archive_write_data(handle_.get(), buffer.data(), count) != static_cast<la_ssize_t>(count)) return Failure();
    }
    return archive_write_finish_entry(handle_.get()) == ARCHIVE_OK ? Result<>() : Failure();
  }

  Result<> AddText(const std::string& name, const std::string& text) {
    TextSource source(text);
    return AddFile(name, text.size(), source);
  }

  Result<> Close() { return archive_write_close(handle_.get()) == ARCHIVE_OK ? Result<>() : Failure(); }

 private:
  explicit Archive(const ByteSink& sink) : sink_(sink), handle_(archive_write_new()) {}

  static la_ssize_t Write(archive* handle, void* self, const void* data, size_t size) {
    auto* archive = static_cast<Archive*>(self);
    auto written = archive->sink_({static_cast<const char*>(data), size});
    if (written) return static_cast<la_ssize_t>(size);
    archive_set_error(handle, EIO, "sink");
    archive->sink_error_ = std::move(written).error();
    return -1;
  }

  Error Failure() {
    if (sink_error_) return *sink_error_;
    const char* text = archive_error_string(handle_.get());
    return Error::Make(ErrorCode::kInternal, "write archive: ", text != nullptr ? text : "unknown failure");
  }

  struct Free {
    void operator()(archive* handle) const { (void)archive_write_free(handle); }
  };
  const ByteSink& sink_;
  std::optional<Error> sink_error_;  // libarchive keeps only a text
  std::unique_ptr<archive, Free> handle_;
};

class Exporter {
 public:
  Exporter(ImageStore& store, Archive& archive) : store_(store), archive_(archive) {}

  Result<> Add(const std::string& reference) {
    ASSIGN_OR_RETURN(const ImagePtr image, store_.Get(reference));
    Json layers = Json::array();
    for (const std::string& diff_id : image->config.diff_ids) {
      ASSIGN_OR_RETURN(const uint64_t size, AddLayer(diff_id));
      layers.push_back({{"mediaType", kLayerType}, {"digest", diff_id}, {"size", size}});
    }
    const Json manifest = {
        {"schemaVersion", 2},
        {"mediaType", kManifestType},
        {"config", {{"mediaType", kConfigType}, {"digest", image->id}, {"size", image->config_json.size()}}},
        {"layers", layers}};
    const std::string text = manifest.dump();
    const std::string digest = DigestOf(text);
    RETURN_IF_ERROR(AddDocument(image->id, image->config_json));
    RETURN_IF_ERROR(AddDocument(digest, text));
    const Json entry = {{"mediaType", kManifestType}, {"digest", digest}, {"size", text.size()}};
    const std::vector<std::string> names = NamesFor(*image, reference);
    if (names.empty()) manifests_.push_back(entry);
    for (const std::string& name : names) {
      Json named = entry;
      named["annotations"] = {{"io.containerd.image.name", name},
                              {"org.opencontainers.image.ref.name", name.substr(name.rfind(':') + 1)}};
      manifests_.push_back(std::move(named));
    }
    return {};
  }

  Result<> Finish() {
    const Json index = {
        {"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.index.v1+json"}, {"manifests", manifests_}};
    RETURN_IF_ERROR(archive_.AddText("index.json", index.dump()));
    RETURN_IF_ERROR(archive_.AddText("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    return archive_.Close();
  }

 private:
  static std::vector<std::string> NamesFor(const Image& image, const std::string& reference) {
    const auto parsed = ParseReference(reference);
    const std::string tag = parsed ? parsed->Tagged() : "";
    if (std::find(image.repo_tags.begin(), image.repo_tags.end(), tag) != image.repo_tags.end()) return {tag};
    return image.repo_tags;
  }

  // Read twice: a tar says how long a file is before its bytes, and damage is to be found before it is sent.
  Result<uint64_t> AddLayer(const std::string& diff_id) {
    const auto known = layers_.find(diff_id);
    if (known != layers_.end()) return known->second;
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> first, store_.OpenLayerTar(diff_id));
    ASSIGN_OR_RETURN(const uint64_t size, CheckLayerTar(*first, diff_id));
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> second, store_.OpenLayerTar(diff_id));
    RETURN_IF_ERROR(archive_.AddFile("blobs/sha256/" + HexOf(diff_id), size, *second));
    layers_[diff_id] = size;
    return size;
  }

  Result<> AddDocument(const std::string& digest, const std::string& text) {
    if (!documents_.insert(digest).second) return {};
    return archive_.AddText("blobs/sha256/" + HexOf(digest), text);
  }

  ImageStore& store_;
  Archive& archive_;
  std::map<std::string, uint64_t> layers_;  // sizes by diff id
  std::set<std::string> documents_;
  Json manifests_ = Json::array();
};

}  // namespace

Result<uint64_t> CheckLayerTar(ByteSource& tar, const std::string& diff_id) {
  HashedSource hashed(tar);
  RETURN_IF_ERROR(hashed.Drain(), "layer ", diff_id);
  if (hashed.Digest() == diff_id) return hashed.count();
  return Error::Make(ErrorCode::kInvalidArgument, "layer ", diff_id,
                     ": its files are not what was unpacked; 'fermata image verify --repair' fetches it again");
}

Result<> ExportImages(ImageStore& store, const std::vector<std::string>& references, const ByteSink& sink) {
  const auto export_all = [&]() -> Result<> {
    for (const std::string& reference : references) RETURN_IF_ERROR(store.Get(reference));  // before the first byte
    ASSIGN_OR_RETURN(const std::unique_ptr<Archive> archive, Archive::Open(sink));
    Exporter exporter(store, *archive);
    for (const std::string& reference : references) RETURN_IF_ERROR(exporter.Add(reference), reference);
    return exporter.Finish();
  };
  auto done = export_all();
  if (!done) return std::move(done).error().Wrap("export");
  return {};
}

}  // namespace fermata::overlay
