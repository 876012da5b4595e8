// What unpacking costs grows with what is unpacked and not faster (threats L-04).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>

#include "overlay/unpack.h"
#include "tests/fixtures/time_scale.h"
#include "tests/overlay/image_builder.h"
#include "tests/overlay/raw_tar.h"
#include "tests/overlay/temp_dir.h"

namespace fermata::overlay::testing {
namespace {

std::string Number(size_t number) { return std::to_string(number); }

// A file or directory by a GNU long name.
std::string LongEntry(const std::string& path, char type = '0') {
  return GnuLong('L', path + std::string(1, '\0')) + RawEntry({.type = type, .magic = GnuMagic()});
}

// Two chains of 150 directories in turn, so that no entry finds the parent of the one before.
std::string Deep(size_t entries) {
  std::string chain;
  for (int i = 0; i < 150; ++i) chain += "/d";
  std::string tar;
  for (size_t i = 0; i < entries; ++i) tar += LongEntry((i % 2 == 0 ? "a" : "b") + chain + "/" + Number(i));
  return tar;
}

std::string Wide(size_t entries) {
  std::string tar;
  for (size_t i = 0; i < entries; ++i) tar += RawEntry({.name = "d/" + Number(i)});
  return tar;
}

// GHSA-rp3h-jf77-q9p4: a walk over the directory at each marker.
std::string OpaqueHeavy(size_t entries) {
  std::string tar;
  for (size_t i = 0; i < entries / 2; ++i) {
    tar += RawEntry({.name = "d/" + Number(i)}) + RawEntry({.name = "d/.wh..wh..opq"});
  }
  return tar;
}

std::string HardLinkHeavy(size_t entries) {
  std::string tar;
  for (size_t i = 0; i < entries; ++i) {
    const std::string file = "f/" + Number(i / 500);
    tar += i % 500 == 0 ? RawEntry({.name = file}) : RawEntry({.name = "h/" + Number(i), .type = '1', .link = file});
  }
  return tar;
}

// The same names again, as a file and as a directory with something in it.
std::string DuplicateHeavy(size_t entries) {
  std::string tar;
  for (size_t i = 0; i < entries / 2; ++i) {
    const std::string name = "d/" + Number(i % 50);
    tar += i / 50 % 2 == 0 ? RawEntry({.name = name}) + RawEntry({.name = name})
                           : RawEntry({.name = name + "/"}) + RawEntry({.name = name + "/x"});
  }
  return tar;
}

std::string LongPax(size_t entries) {
  const std::string pax = PaxHeader(PaxRecord("comment", std::string(1500, 'c')));
  std::string tar;
  for (size_t i = 0; i < entries; ++i) tar += pax + RawEntry({.name = "d/" + Number(i)});
  return tar;
}

struct Shape {
  const char* name;
  std::string (*make)(size_t entries);
};
constexpr Shape kShapes[] = {{"deep", Deep},
                             {"wide", Wide},
                             {"opaque-heavy", OpaqueHeavy},
                             {"hardlink-heavy", HardLinkHeavy},
                             {"dup-heavy", DuplicateHeavy},
                             {"long pax", LongPax}};

// Seconds of CPU time, the least of three. In memory where possible: a disk has a growth of its own.
double Cost(const std::string& tar) {
  double least = 0;
  for (int run = 0; run < 3; ++run) {
    const TempDir dir;
    const UniqueFd file = MemoryFile(tar);
    RangeSource source(file.get(), 0, tar.size());
    const std::string digest = DigestOf(tar);
    const clock_t begin = std::clock();
    const auto unpacked = UnpackLayer(source, {digest, tar.size(), digest}, dir.fd(), {});
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_TRUE(unpacked) << unpacked.error().message();
    least = run == 0 ? seconds : std::min(least, seconds);
  }
  return least;
}

TEST(UnpackGrowth, L04TimeGrowsLinearly) {
  const bool full = std::getenv("FERMATA_FULL") != nullptr;
  const std::vector<size_t> sizes =
      full ? std::vector<size_t>{50'000, 100'000, 200'000} : std::vector<size_t>{10'000, 20'000};
  // An emulated or instrumented machine measures less exactly; what grows with the square would still be at 4.
  const double limit = fermata::testing::TimeScale() > 1 ? 3.5 : 2.3;
  const bool memory = std::filesystem::exists("/dev/shm") && std::filesystem::space("/dev/shm").available > size_t{1}
                                                                                                                << 29;
  if (memory) ::setenv("TMPDIR", "/dev/shm", 1);  // of TempDir
  for (const Shape& shape : kShapes) {
    double before = 0;
    for (const size_t entries : sizes) {
      const double cost = Cost(shape.make(entries) + TarEnd());
      if (before != 0) {
        EXPECT_LE(cost / before, limit) << shape.name << " of " << entries << ": " << cost << " s";
      }
      before = cost;
    }
  }
  if (memory) ::unsetenv("TMPDIR");
}

}  // namespace
}  // namespace fermata::overlay::testing
