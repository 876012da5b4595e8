// Scratch: a directory below staging/ that goes away with this object. What cannot be deleted, ImageStore::Open sweeps.
#pragma once

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/random_id.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

class Scratch {
 public:
  static Result<std::unique_ptr<Scratch>> Make(int data_dir) {
    ASSIGN_OR_RETURN(const std::string id, RandomId());
    ASSIGN_OR_RETURN(UniqueFd staging, OpenAt(data_dir, "staging", O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(UniqueFd directory, MakeDirectories(staging.get(), id, 0700));
    return std::make_unique<Scratch>(std::move(staging), std::move(directory), id);
  }
  Scratch(UniqueFd staging, UniqueFd directory, std::string name)
      : staging_(std::move(staging)), directory_(std::move(directory)), name_(std::move(name)) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { (void)RemoveTree(staging_.get(), name_); }
  [[nodiscard]] int fd() const { return directory_.get(); }

 private:
  UniqueFd staging_;
  UniqueFd directory_;
  std::string name_;
};

}  // namespace fermata::overlay
