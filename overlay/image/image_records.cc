#include "overlay/image/image_records.h"

#include <map>

#include "overlay/digest.h"

namespace fermata::overlay {
namespace {

// names.kind
constexpr int64_t kTag = 0;
constexpr int64_t kDigest = 1;

constexpr const char* kMigrations[] = {R"sql(
CREATE TABLE layers (diff_id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, inodes INTEGER NOT NULL);
CREATE TABLE images (id TEXT PRIMARY KEY, manifest_digest TEXT NOT NULL, size_bytes INTEGER NOT NULL,
                     created_at_ns INTEGER NOT NULL);
CREATE TABLE image_layers (image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE, position INTEGER NOT NULL,
                           diff_id TEXT NOT NULL, PRIMARY KEY (image_id, position));
CREATE TABLE names (name TEXT PRIMARY KEY, kind INTEGER NOT NULL,
                    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE);
)sql",
                                       "ALTER TABLE layers ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0"};

Result<> Run(Result<Statement> statement, std::span<const std::string> texts, std::span<const int64_t> numbers) {
  if (!statement) return std::move(statement).error();
  int index = 0;
  for (const std::string& text : texts) statement->Bind(++index, text);
  for (const int64_t number : numbers) statement->Bind(++index, number);
  return statement->Run();
}

Result<> Run(Result<Statement> statement, std::initializer_list<std::string> texts,
             std::initializer_list<int64_t> numbers = {}) {
  return Run(std::move(statement), std::span(texts.begin(), texts.size()), std::span(numbers.begin(), numbers.size()));
}

}  // namespace

Result<ImageRecords> ImageRecords::Open(const std::string& path) {
  ASSIGN_OR_RETURN(Database database, Database::Open(path, Database::Sync::kFull, kMigrations));
  return ImageRecords(std::move(database));
}

Result<std::vector<LayerRecord>> ImageRecords::Layers(std::vector<std::string>& problems) {
  ASSIGN_OR_RETURN(Statement query, database_.Prepare("SELECT diff_id, name, bytes, inodes, checksum FROM layers"));
  std::vector<LayerRecord> layers;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return layers;
    LayerRecord layer{query.Text(0),
                      query.Text(1),
                      {static_cast<uint64_t>(query.Int(2)), static_cast<uint64_t>(query.Int(3))},
                      static_cast<uint64_t>(query.Int(4))};
    if (IsDigest(layer.diff_id) && IsLayerName(layer.name)) {
      layers.push_back(std::move(layer));
    } else {
      problems.push_back("images.db: layer " + layer.diff_id + ": damaged record");
    }
  }
}

Result<std::vector<ImageRecord>> ImageRecords::Images() {
  std::map<std::string, ImageRecord> images;
  ASSIGN_OR_RETURN(Statement rows,
                   database_.Prepare("SELECT id, manifest_digest, size_bytes, created_at_ns FROM images"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    ImageRecord image;
    image.id = rows.Text(0);
    image.manifest_digest = rows.Text(1);
    image.size_bytes = static_cast<uint64_t>(rows.Int(2));
    image.created_at_ns = rows.Int(3);
    images[image.id] = std::move(image);
  }
  ASSIGN_OR_RETURN(Statement layers,
                   database_.Prepare("SELECT image_id, diff_id FROM image_layers ORDER BY image_id, position"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, layers.Step());
    if (!row) break;
    if (const auto found = images.find(layers.Text(0)); found != images.end()) {
      found->second.diff_ids.push_back(layers.Text(1));
    }
  }
  ASSIGN_OR_RETURN(Statement names, database_.Prepare("SELECT image_id, name, kind FROM names ORDER BY name"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, names.Step());
    if (!row) break;
    const auto found = images.find(names.Text(0));
    if (found == images.end()) continue;
    (names.Int(2) == kTag ? found->second.repo_tags : found->second.repo_digests).push_back(names.Text(1));
  }
  std::vector<ImageRecord> list;
  for (auto& [id, image] : images) list.push_back(std::move(image));
  return list;
}

Result<> ImageRecords::PutLayer(const LayerRecord& layer) {
  return Run(
      database_.Prepare("INSERT OR REPLACE INTO layers(diff_id, name, bytes, inodes, checksum) VALUES(?, ?, ?, ?, ?)"),
      {layer.diff_id, layer.name},
      {static_cast<int64_t>(layer.usage.bytes), static_cast<int64_t>(layer.usage.inodes),
       static_cast<int64_t>(layer.checksum)});
}

Result<> ImageRecords::PutImage(const ImageRecord& image) {
  RETURN_IF_ERROR(Run(database_.Prepare("INSERT INTO images(id, manifest_digest, size_bytes, created_at_ns) "
                                        "VALUES(?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET "
                                        "manifest_digest=excluded.manifest_digest, size_bytes=excluded.size_bytes"),
                      {image.id, image.manifest_digest},
                      {static_cast<int64_t>(image.size_bytes), image.created_at_ns}));
  RETURN_IF_ERROR(Run(database_.Prepare("DELETE FROM image_layers WHERE image_id=?"), {image.id}));
  int64_t position = 0;
  for (const std::string& diff_id : image.diff_ids) {
    RETURN_IF_ERROR(Run(database_.Prepare("INSERT INTO image_layers(image_id, diff_id, position) VALUES(?, ?, ?)"),
                        {image.id, diff_id}, {position++}));
  }
  const char* const put_name = "INSERT OR REPLACE INTO names(name, image_id, kind) VALUES(?, ?, ?)";
  for (const std::string& name : image.repo_tags) {
    RETURN_IF_ERROR(Run(database_.Prepare(put_name), {name, image.id}, {kTag}));
  }
  for (const std::string& name : image.repo_digests) {
    RETURN_IF_ERROR(Run(database_.Prepare(put_name), {name, image.id}, {kDigest}));
  }
  return {};
}

Result<> ImageRecords::Commit(std::span<const LayerRecord> layers, std::span<const ImageRecord> images) {
  return database_.Transaction([&]() -> Result<> {
    for (const LayerRecord& layer : layers) RETURN_IF_ERROR(PutLayer(layer));
    for (const ImageRecord& image : images) RETURN_IF_ERROR(PutImage(image));
    return {};
  });
}

Result<> ImageRecords::RemoveName(const std::string& name) {
  return Run(database_.Prepare("DELETE FROM names WHERE name=?"), {name});
}

Result<> ImageRecords::Remove(const std::string& image_id, std::span<const LayerRecord> layers) {
  return database_.Transaction([&]() -> Result<> {
    if (!image_id.empty()) RETURN_IF_ERROR(Run(database_.Prepare("DELETE FROM images WHERE id=?"), {image_id}));
    for (const LayerRecord& layer : layers) {
      RETURN_IF_ERROR(Run(database_.Prepare("DELETE FROM layers WHERE diff_id=?"), {layer.diff_id}));
    }
    return {};
  });
}

}  // namespace fermata::overlay
