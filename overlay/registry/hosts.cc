#include "overlay/registry/hosts.h"

#include <toml++/toml.h>
#include <algorithm>
#include <cctype>

namespace fermata::overlay {
namespace {

Error Invalid(std::string_view place, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, place, ": ", reason);
}

// For texts: keys of a file are foreign enough to be cut and cleaned.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, 64));
  for (char& c : shown) c = c < ' ' || c >= 0x7f ? '?' : c;
  return "\"" + shown + "\"";
}

bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

// Reads values of one file; errors say where.
class Reader {
 public:
  Reader(std::string path, std::string directory) : path_(std::move(path)), directory_(std::move(directory)) {}

  [[nodiscard]] std::string At(const toml::source_region& source) const {
    return path_ + ":" + std::to_string(source.begin.line);
  }
  [[nodiscard]] Error Bad(const toml::node& node, std::string_view reason) const {
    return Invalid(At(node.source()), reason);
  }
  [[nodiscard]] Result<std::string> Text(const toml::node& node, std::string_view key) const {
    const auto text = node.value_exact<std::string>();
    if (!text || !IsPlain(*text)) return Bad(node, std::string(key) + " is not a plain text");
    return *text;
  }
  [[nodiscard]] Result<bool> Flag(const toml::node& node, std::string_view key) const {
    const auto flag = node.value_exact<bool>();
    if (!flag) return Bad(node, std::string(key) + " is neither true nor false");
    return *flag;
  }
  // One text or a list of them.
  [[nodiscard]] Result<std::vector<std::string>> Texts(const toml::node& node, std::string_view key) const {
    std::vector<std::string> texts;
    if (const toml::array* list = node.as_array(); list != nullptr) {
      for (const toml::node& entry : *list) {
        ASSIGN_OR_RETURN(texts.emplace_back(), Text(entry, key));
      }
    } else {
      ASSIGN_OR_RETURN(texts.emplace_back(), Text(node, key));
    }
    return texts;
  }
  [[nodiscard]] std::string Absolute(const std::string& file) const {
    return file.starts_with('/') ? file : directory_ + "/" + file;
  }

 private:
  std::string path_, directory_;
};

struct Setting {
  std::string_view key;
  Result<> (*read)(const Reader& reader, const toml::node& node, HostEndpoint& host);
};

Result<> ReadCapabilities(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, reader.Texts(node, "capabilities"));
  host.pull = host.resolve = host.push = false;
  for (const std::string& name : names) {
    bool* const known = name == "pull"      ? &host.pull
                        : name == "resolve" ? &host.resolve
                        : name == "push"    ? &host.push
                                            : nullptr;
    if (known == nullptr) return reader.Bad(node, "unknown capability " + Shown(name));
    *known = true;
  }
  return {};
}

Result<> ReadSkipVerify(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  ASSIGN_OR_RETURN(host.skip_verify, reader.Flag(node, "skip_verify"));
  return {};
}

Result<> ReadCa(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  ASSIGN_OR_RETURN(host.ca_files, reader.Texts(node, "ca"));
  for (std::string& file : host.ca_files) file = reader.Absolute(file);
  return {};
}

// "client.pem", ["client.pem"] or [["client.cert", "client.key"]]: libcurl shows one certificate.
Result<> ReadClient(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  const toml::array* list = node.as_array();
  if (list != nullptr && list->size() != 1) return reader.Bad(node, "client has to be one certificate");
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   reader.Texts(list != nullptr ? *list->get(0) : node, "client"));
  if (files.empty() || files.size() > 2) return reader.Bad(node, "client has to be a certificate and maybe a key");
  host.client_cert = reader.Absolute(files[0]);
  if (files.size() == 2 && !files[1].empty()) host.client_key = reader.Absolute(files[1]);
  return {};
}

Result<> ReadHeaders(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  const toml::table* headers = node.as_table();
  if (headers == nullptr) return reader.Bad(node, "header is not a table");
  for (const auto& [name, value] : *headers) {
    const std::string key(name.str());
    const bool token = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
      return c < 0x80 && (std::isalnum(c) != 0 || c == '-' || c == '_');
    });
    if (!token) return Invalid(reader.At(name.source()), "not the name of a header: " + Shown(key));
    ASSIGN_OR_RETURN(const std::vector<std::string> texts, reader.Texts(value, "header"));
    for (const std::string& text : texts) host.headers.emplace_back(key, text);
  }
  return {};
}

Result<> ReadAuth(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  const toml::table* auth = node.as_table();
  if (auth == nullptr) return reader.Bad(node, "auth is not a table");
  Credentials& credentials = host.credentials.emplace();
  for (const auto& [name, value] : *auth) {
    const std::string key(name.str());
    std::string* const field = key == "username"         ? &credentials.username
                               : key == "password"       ? &credentials.password
                               : key == "identity_token" ? &credentials.identity_token
                                                         : nullptr;
    if (field == nullptr) return Invalid(reader.At(name.source()), "unknown key " + Shown(key) + " in auth");
    ASSIGN_OR_RETURN(*field, reader.Text(value, key));
  }
  if (credentials.empty()) return reader.Bad(node, "auth without a user name or token");
  return {};
}

Result<> ReadAuthFile(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  ASSIGN_OR_RETURN(const std::string file, reader.Text(node, "auth_file"));
  host.auth_file = reader.Absolute(file);
  return {};
}

Result<> ReadTokenHosts(const Reader& reader, const toml::node& node, HostEndpoint& host) {
  ASSIGN_OR_RETURN(host.token_hosts, reader.Texts(node, "token_hosts"));
  return {};
}

constexpr Setting kSettings[] = {
    {"capabilities", ReadCapabilities},
    {"skip_verify", ReadSkipVerify},
    {"ca", ReadCa},
    {"client", ReadClient},
    {"header", ReadHeaders},
    {"auth", ReadAuth},
    {"auth_file", ReadAuthFile},
    {"token_hosts", ReadTokenHosts},
};

// `skip` are keys of the table that are not about this host.
Result<> ReadSettings(const Reader& reader, const toml::table& table, HostEndpoint& host,
                      std::initializer_list<std::string_view> skip) {
  for (const auto& [name, value] : table) {
    const std::string_view key = name.str();
    if (std::find(skip.begin(), skip.end(), key) != skip.end()) continue;
    const auto* const setting = std::find_if(std::begin(kSettings), std::end(kSettings),
                                             [&](const Setting& known) { return known.key == key; });
    if (setting == std::end(kSettings)) return Invalid(reader.At(name.source()), "unknown key " + Shown(key));
    RETURN_IF_ERROR(setting->read(reader, value, host));
  }
  return {};
}

bool SamePlace(const Url& one, const Url& other) { return one.host == other.host && one.port == other.port; }

// "https://host/path", or without a scheme, which is https: never plain http because a name looks local. containerd
// looks below /v2 also where the URL has a path, unless told that the path is all.
Result<Url> ReadUrl(const std::string& place, std::string_view text, bool override_path) {
  auto url = ParseUrl(text.find("://") == std::string_view::npos ? "https://" + std::string(text) : std::string(text));
  if (!url) return std::move(url).error().Wrap(place);
  if (!url->query.empty()) return Invalid(place, "a URL with a query");
  if (url->host == "docker.io") url->host = "registry-1.docker.io";
  while (url->path.ends_with('/')) url->path.pop_back();
  if (!override_path && !url->path.ends_with("/v2")) url->path += "/v2";
  return url;
}

Result<bool> OverridesPath(const Reader& reader, const toml::table& table) {
  const toml::node* node = table.get("override_path");
  if (node == nullptr) return false;
  return reader.Flag(*node, "override_path");
}

Result<std::vector<HostEndpoint>> ReadMirrors(const Reader& reader, const toml::table& hosts) {
  std::vector<std::pair<toml::source_position, HostEndpoint>> found;  // the order of the file is that of the trials
  for (const auto& [name, value] : hosts) {
    const toml::table* table = value.as_table();
    const std::string place = reader.At(name.source());
    if (table == nullptr) return Invalid(place, "a host is not a table");
    ASSIGN_OR_RETURN(const bool override_path, OverridesPath(reader, *table));
    HostEndpoint& host = found.emplace_back(name.source().begin, HostEndpoint()).second;
    ASSIGN_OR_RETURN(host.base, ReadUrl(place, name.str(), override_path));
    RETURN_IF_ERROR(ReadSettings(reader, *table, host, {"override_path"}));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<HostEndpoint> mirrors;
  for (auto& [position, host] : found) mirrors.push_back(std::move(host));
  return mirrors;
}

// What stands at the top of the file is about the registry itself.
Result<HostEndpoint> ReadServer(const Reader& reader, const toml::table& file, const std::string& registry) {
  ASSIGN_OR_RETURN(HostEndpoint server, DefaultHost(registry));
  ASSIGN_OR_RETURN(const bool override_path, OverridesPath(reader, file));
  if (const toml::node* node = file.get("server"); node != nullptr) {
    ASSIGN_OR_RETURN(const std::string text, reader.Text(*node, "server"));
    ASSIGN_OR_RETURN(server.base, ReadUrl(reader.At(node->source()), text, override_path));
  } else if (override_path) {
    server.base.path.clear();
  }
  RETURN_IF_ERROR(ReadSettings(reader, file, server, {"override_path", "server", "host"}));
  return server;
}

Result<std::vector<HostEndpoint>> ReadFile(const Reader& reader, const toml::table& file, const std::string& registry) {
  std::vector<HostEndpoint> hosts;
  if (const toml::node* node = file.get("host"); node != nullptr) {
    const toml::table* table = node->as_table();
    if (table == nullptr) return reader.Bad(*node, "host is not a table");
    ASSIGN_OR_RETURN(hosts, ReadMirrors(reader, *table));
  }
  ASSIGN_OR_RETURN(HostEndpoint server, ReadServer(reader, file, registry));
  bool named = false;
  for (HostEndpoint& host : hosts) {
    host.origin = SamePlace(host.base, server.base);
    named |= host.origin;
  }
  if (!named || file.contains("server")) hosts.push_back(std::move(server));
  return hosts;
}

}  // namespace

Result<HostEndpoint> DefaultHost(const std::string& registry) {
  HostEndpoint host;
  ASSIGN_OR_RETURN(host.base, ReadUrl("registry", registry, false));
  if (!host.base.https || host.base.path != "/v2") return Invalid("registry", "not the name of a host");
  host.origin = true;
  return host;
}

Result<std::vector<HostEndpoint>> ParseHosts(std::string_view text, const std::string& path,
                                             const std::string& registry) {
  const size_t slash = path.rfind('/');
  const Reader reader(path, slash == std::string::npos ? "." : path.substr(0, slash));
  try {
    const toml::table file = toml::parse(text, path);
    return ReadFile(reader, file, registry);
  } catch (const toml::parse_error& failure) {
    return Invalid(reader.At(failure.source()), "not TOML");  // its own text quotes the file
  }
}

}  // namespace fermata::overlay
