#include "overlay/image/image_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "overlay/overlay_mount.h"
#include "runtime/base/file.h"
#include "runtime/base/random_id.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxCachedRoots = 64;

constexpr const char* kReserve = "reserve";
constexpr off_t kReserveBytes = off_t{2} << 20;  // a removal writes some pages of the database and of its log

// The layers of a configuration as directories, each once: overlayfs refuses to have one twice (ELOOP), and
// where one lies over itself the lower one adds nothing that the upper does not show.
std::vector<std::string> EachOnce(const std::vector<std::string>& bottom_first) {
  std::vector<std::string> kept;
  for (auto next = bottom_first.rbegin(); next != bottom_first.rend(); ++next) {
    if (std::find(kept.begin(), kept.end(), *next) == kept.end()) kept.push_back(*next);
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

// Best effort: a store on a disk that is full already opens too.
void MakeReserve(int data) {
  auto file = OpenAt(data, kReserve, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (file) (void)::fallocate(file->get(), 0, 0, kReserveBytes);
}

Result<UniqueFd> Duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return Error::Errno("fcntl F_DUPFD_CLOEXEC");
  return copy;
}

}  // namespace

ImageStore::ImageStore(std::string data_dir, UniqueFd data_fd, ImageRecords records, ImageStoreOptions options)
    : data_dir_(std::move(data_dir)),
      data_(std::move(data_fd)),
      options_(std::move(options)),
      records_(std::move(records)) {}

Result<std::unique_ptr<ImageStore>> ImageStore::Open(const std::string& data_dir, ImageStoreOptions options) {
  if (!data_dir.starts_with('/')) {
    return Error::Make(ErrorCode::kInvalidArgument, "open image store ", data_dir, ": not an absolute path");
  }
  const std::string context = "open image store " + data_dir;
  ASSIGN_OR_RETURN(UniqueFd data, MakeDirectories(AT_FDCWD, data_dir, 0700), context);
  // A crash may have left gigabytes in staging, and sweeping a thing twice is what RemoveTree allows.
  RETURN_IF_ERROR(RemoveTree(data.get(), "staging"), context);
  for (const char* name : {"layers", "frames", "snapshots", "blobs/sha256", "staging"}) {
    RETURN_IF_ERROR(MakeDirectories(data.get(), name, 0700), context);
  }
  auto records = ImageRecords::Open(data_dir + "/images.db");
  if (!records && records.error().code() == ErrorCode::kResourceExhausted) {
    (void)::unlinkat(data.get(), kReserve, 0);  // a full disk: the daemon has to start, or nothing could be removed
    records = ImageRecords::Open(data_dir + "/images.db");
  }
  if (!records) return std::move(records).error().Wrap(context);
  ASSIGN_OR_RETURN(UniqueFd snapshot_data, Duplicate(data.get()), context);
  if (!options.now_ns) {
    options.now_ns = [] {
      timespec now{};
      (void)::clock_gettime(CLOCK_REALTIME, &now);  // fails for an unknown clock only
      return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    };
  }
  std::unique_ptr<ImageStore> store(
      new ImageStore(data_dir, std::move(data), std::move(records).value(), std::move(options)));
  store->flights_ = std::make_unique<LayerFlights>(
      store->layers_, [raw = store.get()](const LayerTask& task, const Cancellation& cancellation,
                                          const LayerFlights::Progress& progress) {
        return raw->LandLayer(task, cancellation, progress);
      });
  store->snapshots_ = std::make_unique<SnapshotStore>(data_dir, std::move(snapshot_data), store->layers_);
  RETURN_IF_ERROR(store->Load(), context);
  MakeReserve(store->data_.get());
  return store;
}

Result<> ImageStore::Load() {
  RETURN_IF_ERROR(LoadLayers());
  const std::vector<std::string> damaged_snapshots = snapshots_->Load();
  problems_.insert(problems_.end(), damaged_snapshots.begin(), damaged_snapshots.end());
  ASSIGN_OR_RETURN(const std::vector<ImageRecord> records, records_.Images());
  std::vector<ImagePtr> images;
  for (const ImageRecord& record : records) {
    auto image = LoadImage(record);
    if (image) {
      images.push_back(std::make_shared<const Image>(std::move(image).value()));
    } else {
      problems_.push_back("image " + record.id + ": " + image.error().message());
      damaged_[record.id] = record;
    }
  }
  Publish(Catalog(std::move(images)));
  RETURN_IF_ERROR(SweepBlobs());
  return CollectLayers();
}

// A record without a directory is dropped, a directory without a record deleted.
Result<> ImageStore::LoadLayers() {
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(data_.get(), "layers", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory.get()));
  std::set<std::string> unrecorded(names.begin(), names.end());
  ASSIGN_OR_RETURN(const std::vector<LayerRecord> records, records_.Layers(problems_));
  std::vector<LayerRecord> there;
  std::vector<LayerRecord> lost;
  for (const LayerRecord& layer : records) (unrecorded.erase(layer.name) != 0 ? there : lost).push_back(layer);
  layers_.Add(there);
  for (const LayerRecord& layer : lost) problems_.push_back("layer " + layer.diff_id + ": its directory is missing");
  if (!lost.empty()) RETURN_IF_ERROR(records_.Remove("", lost));
  for (const std::string& name : unrecorded) RETURN_IF_ERROR(RemoveTree(directory.get(), name), "layers");
  ASSIGN_OR_RETURN(const UniqueFd frames, OpenAt(data_.get(), "frames", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::vector<std::string> frame_names, ListDirectory(frames.get()));
  for (const std::string& name : frame_names) {
    const bool is_wanted =
        std::any_of(there.begin(), there.end(), [&](const LayerRecord& l) { return l.name == name; });
    if (!is_wanted) RETURN_IF_ERROR(RemoveTree(frames.get(), name), "frames");
  }
  return {};
}

Result<std::string> ImageStore::LoadBlob(const std::string& digest) const {
  if (!IsDigest(digest)) return Error::Make(ErrorCode::kInternal, "blob ", digest, ": not a digest");
  ASSIGN_OR_RETURN(std::string data, ReadFileAt(data_.get(), "blobs/sha256/" + HexOf(digest), kMaxDocumentBytes));
  if (DigestOf(data) != digest) return Error::Make(ErrorCode::kInternal, "blob ", digest, ": damaged on disk");
  return data;
}

Result<Image> ImageStore::LoadImage(const ImageRecord& record) const {
  Image image;
  ASSIGN_OR_RETURN(image.config_json, LoadBlob(record.id));
  ASSIGN_OR_RETURN(image.config, ParseImageConfig(image.config_json));
  RETURN_IF_ERROR(LoadBlob(record.manifest_digest));
  if (image.config.diff_ids != record.diff_ids) {
    return Error::Make(ErrorCode::kInternal, "the record names other layers than the configuration");
  }
  image.layers = layers_.NamesOf(EachOnce(record.diff_ids));
  if (std::find(image.layers.begin(), image.layers.end(), "") != image.layers.end()) {
    return Error::Make(ErrorCode::kInternal, "a layer is missing");
  }
  image.id = record.id;
  image.repo_tags = record.repo_tags;
  image.repo_digests = record.repo_digests;
  image.size_bytes = record.size_bytes;
  image.manifest_digest = record.manifest_digest;
  image.created_at_ns = record.created_at_ns;
  return image;
}

Result<> ImageStore::SweepBlobs() {
  std::set<std::string> wanted;
  for (const ImagePtr& image : catalog()->List()) wanted.insert({HexOf(image->id), HexOf(image->manifest_digest)});
  for (const auto& [id, record] : damaged_) wanted.insert({HexOf(id), HexOf(record.manifest_digest)});
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(data_.get(), "blobs/sha256", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory.get()));
  for (const std::string& name : names) {
    if (!wanted.contains(name)) RETURN_IF_ERROR(RemoveTree(directory.get(), name), "blobs");
  }
  return {};
}

std::shared_ptr<const Catalog> ImageStore::catalog() const {
  const std::lock_guard lock(catalog_mutex_);
  return catalog_;
}

void ImageStore::Publish(Catalog catalog) {
  auto published = std::make_shared<const Catalog>(std::move(catalog));
  const std::lock_guard lock(catalog_mutex_);
  catalog_.swap(published);
}

ImagePtr ImageStore::Find(std::string_view reference) const {
  auto found = Get(reference);
  return found ? std::move(found).value() : nullptr;
}

Result<ImagePtr> ImageStore::Get(std::string_view reference) const { return catalog()->Get(reference); }

std::vector<ImagePtr> ImageStore::List() const { return catalog()->List(); }

Result<> ImageStore::Remove(std::string_view reference) {
  std::vector<std::string> trees;
  {
    const std::lock_guard lock(write_mutex_);
    std::string id;
    if (auto image = Get(reference); image) {
      id = (*image)->id;
    } else if (damaged_.contains(std::string(reference))) {
      id = reference;
    } else if (image.error().code() == ErrorCode::kNotFound) {
      return {};
    } else {
      return std::move(image).error().Wrap("remove image");
    }
    ASSIGN_OR_RETURN(trees, Forget(id), "remove image ", id);
  }
  return DeleteTrees(trees);
}

// The order keeps CreateSnapshot and OpenRoot right, which hold the layers first and look at the catalog
// then: what they still found there is held when TakeUnreferenced looks.
Result<std::vector<std::string>> ImageStore::Forget(const std::string& image_id) {
  const std::shared_ptr<const Catalog> before = catalog();
  const ImagePtr image = before->FindId(image_id);
  std::map<std::string, ImageRecord> damaged = damaged_;
  const auto was_damaged = damaged.extract(image_id);
  if (image != nullptr) {
    Publish(before->Without(image_id));
    const std::lock_guard lock(roots_mutex_);
    roots_.erase(image_id);
  }
  std::set<std::string> referenced;
  for (const ImagePtr& other : catalog()->List()) {
    referenced.insert(other->config.diff_ids.begin(), other->config.diff_ids.end());
  }
  for (const auto& [id, record] : damaged) referenced.insert(record.diff_ids.begin(), record.diff_ids.end());
  const std::vector<LayerRecord> layers = layers_.TakeUnreferenced(referenced);
  if (image_id.empty() && layers.empty()) return std::vector<std::string>{};
  if (auto removed = RemoveRecords(image_id, layers); !removed) {
    layers_.Add(layers);
    Publish(*before);
    return std::move(removed).error();
  }
  std::vector<std::string> doomed;
  for (const LayerRecord& layer : layers) {
    doomed.push_back("layers/" + layer.name);
    doomed.push_back("frames/" + layer.name);
  }
  const std::string manifest = image != nullptr ? image->manifest_digest
                               : was_damaged    ? was_damaged.mapped().manifest_digest
                                                : "";
  for (const std::string& digest : {manifest, image_id}) {
    if (IsDigest(digest)) doomed.push_back("blobs/sha256/" + HexOf(digest));
  }
  damaged_ = std::move(damaged);
  std::vector<std::string> trees;
  for (const std::string& path : doomed) {
    ASSIGN_OR_RETURN(const std::string aside, RandomId());
    trees.push_back("staging/" + aside);
    if (::renameat(data_.get(), path.c_str(), data_.get(), trees.back().c_str()) != 0 && errno != ENOENT) {
      return Error::Errno("rename ", path);
    }
  }
  return trees;
}

Result<> ImageStore::RemoveRecords(const std::string& image_id, std::span<const LayerRecord> layers) {
  auto removed = records_.Remove(image_id, layers);
  if (removed || removed.error().code() != ErrorCode::kResourceExhausted) return removed;
  (void)::unlinkat(data_.get(), kReserve, 0);  // fails when an earlier removal has used it
  return records_.Remove(image_id, layers);
}

Result<> ImageStore::DeleteTrees(const std::vector<std::string>& trees) const {
  for (const std::string& tree : trees) RETURN_IF_ERROR(RemoveTree(data_.get(), tree), "delete layers");
  if (!trees.empty()) MakeReserve(data_.get());
  return {};
}

Result<> ImageStore::CollectLayers() {
  std::vector<std::string> trees;
  {
    const std::lock_guard lock(write_mutex_);
    ASSIGN_OR_RETURN(trees, Forget(""), "collect layers");
  }
  return DeleteTrees(trees);
}

Result<LayerNames> ImageStore::HoldLayers(const Image& image) {
  LayerNames lower(image.layers.rbegin(), image.layers.rend());
  if (layers_.Hold(lower)) {
    const ImagePtr current = catalog()->FindId(image.id);
    if (current != nullptr && current->layers == image.layers) return lower;
    layers_.Release(lower);
  }
  return Error::Make(ErrorCode::kNotFound, "image ", image.id, ": not there any more");
}

Result<UniqueFd> ImageStore::OpenRoot(const Image& image) {
  {
    const std::lock_guard lock(roots_mutex_);
    if (const auto found = roots_.find(image.id); found != roots_.end()) return Duplicate(found->second.get());
  }
  ASSIGN_OR_RETURN(const LayerNames lower, HoldLayers(image));
  auto root = MountLayersReadOnly(data_dir_ + "/layers", lower);
  layers_.Release(lower);  // the mount needs directories, not names; a removed image is emptied below it
  if (!root) return std::move(root).error().Wrap("open root of image ", image.id);
  ASSIGN_OR_RETURN(UniqueFd mine, Duplicate(root->get()));
  const std::lock_guard lock(roots_mutex_);
  // Remove publishes before it erases here, so a root that goes in now goes out again.
  if (catalog()->FindId(image.id) == nullptr) return mine;
  if (roots_.size() >= kMaxCachedRoots) roots_.clear();
  roots_[image.id] = std::move(root).value();
  return mine;
}

Result<Snapshot> ImageStore::CreateSnapshot(const std::string& id, const Image& image,
                                            std::span<const ImagePtr> volumes) {
  SnapshotLayers layers;
  const auto create = [&]() -> Result<Snapshot> {
    ASSIGN_OR_RETURN(layers.lower, HoldLayers(image), "create snapshot ", id);
    for (const ImagePtr& volume : volumes) {
      ASSIGN_OR_RETURN(LayerNames names, HoldLayers(*volume), "create snapshot ", id);
      layers.volumes.push_back(std::move(names));
    }
    return snapshots_->Create(id, layers);
  };
  auto snapshot = create();
  if (!snapshot) layers_.Release(layers.All());
  return snapshot;
}

Result<> ImageStore::RemoveSnapshot(const std::string& id) {
  const auto snapshot = snapshots_->Get(id);
  RETURN_IF_ERROR(snapshots_->Remove(id));
  if (!snapshot) return {};
  // Layers of listed images stay; only others are worth the lock of the writers.
  std::set<std::string> listed;
  for (const ImagePtr& image : catalog()->List()) listed.insert(image->layers.begin(), image->layers.end());
  const auto is_listed = [&](const std::string& name) { return listed.contains(name); };
  const LayerNames held = snapshot->layers.All();
  if (std::all_of(held.begin(), held.end(), is_listed)) return {};
  return CollectLayers();
}

Result<FsUsage> ImageStore::Usage() const {
  FsUsage usage;
  ASSIGN_OR_RETURN(usage.images, CountTree(data_.get(), "blobs"), "image usage");
  const TreeUsage layers = layers_.Usage();
  usage.images.bytes += layers.bytes;
  usage.images.inodes += layers.inodes;
  ASSIGN_OR_RETURN(usage.snapshots, snapshots_->TotalUsage(), "snapshot usage");
  return usage;
}

}  // namespace fermata::overlay
