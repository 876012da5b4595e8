// The launch plan as it travels from the daemon to the monitor and is read by the cloned child: one flat
// block of plain data without pointers. Both sides are of one build or of two neighbours (an old monitor
// is served by a newer daemon), so numbers are only ever added.
//
//   PlanHeader | PlanStep[step_count] | bytes (texts end with NUL; arrays are 8-byte aligned)
//
// A position is an offset into the bytes. ValidatePlan() proves once, before the clone, that every
// position and descriptor slot is in range; the child then relies on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fermata::runtime {

inline constexpr uint32_t kPlanMagic = 0x464d5031;  // "FMP1"
inline constexpr size_t kMaxPlanBytes = size_t{8} << 20;

// What a step does; the arguments named are the fields of PlanStep.
enum class Op : uint16_t {
  kNone = 0,
  // Descriptors and mounts (child_mounts.cc)
  kOpenTree = 1,              // out = open_tree(fd or cwd, text, a = flags); of text2 below it as the root, if given,
                              // which is made as a directory if missing
  kSetAttributes = 2,         // mount_setattr(fd): a = set, b = clear, c = propagation; fd2 = user namespace whose
                              // ids the mount shows (MOUNT_ATTR_IDMAP); recursive by flag
  kFsOpen = 3,                // out = fsopen(text)
  kFsConfig = 4,              // fsconfig(fd): text = key, text2 = value, or fd2 is it (both absent: a flag)
  kFsMount = 5,               // out = fsmount(fd) after CMD_CREATE, a = attributes; closes fd
  kOpenTarget = 6,            // out = text below fd as the root; made if missing: a = TargetKind
  kMoveMount = 7,             // attaches fd on fd2, or on the path text
  kMakeDirectory = 8,         // mkdirat(fd, text, a)
  kMakeSymlink = 9,           // symlinkat(text, fd, text2)
  kMakeNode = 10,             // mknodat(fd, text, a = mode, b = device); c = uid | gid << 32
  kMaskPath = 11,             // hides text below fd: a file by a clone of fd2, a directory by a read-only tmpfs in out
  kReadonlyPath = 12,         // text below fd becomes read-only
  kPivotRoot = 13,            // fd becomes "/", the old root goes away
  kChangeDirectory = 14,      // chdir(text), text made below "/" if missing; must end inside the root
  kChangeDirectoryHost = 15,  // chdir(text) before the root is changed
  kPrivateRoot = 16,          // makes "/" and all below it private
  kClose = 17,                // closes fd
  kCopyUp = 18,               // copies what lies at text below fd into the mount fd2
  // Process (child_process.cc)
  kSetns = 32,    // setns(fd, a)
  kUnshare = 33,  // unshare(a)
  kSetsid = 34,
  kNewKeyring = 35,
  kOomScoreAdj = 36,  // text to /proc/self/oom_score_adj; EACCES and EPERM pass with flag kPermissionOk
  kRlimit = 37,       // a = resource, b = soft, c = hard
  kHostname = 38,     // text
  kLoopbackUp = 39,
  kSysctl = 40,        // text2 to the file text below fd (a procfs)
  kUmask = 41,         // a
  kBoundingSet = 42,   // drops what is not in a
  kGroups = 43,        // text = uint32_t[a]
  kIds = 44,           // a = uid, b = gid; keeps capabilities for the next step
  kCapabilities = 45,  // a = effective, b = permitted, c = inheritable
  kAmbientSet = 46,    // raises what is in a
  kNoNewPrivileges = 47,
  kSeccomp = 48,        // text = sock_filter[a], b = flags of seccomp(2); the listener, if asked for, goes to socket fd
  kStage = 49,          // goes on in a sibling: clone(CLONE_PARENT | a), in a session of its own; what follows has
                        // only what is left
  kStdioOwner = 50,     // fchown of the standard streams that are pipes: a = uid, b = gid
  kScheduler = 51,      // text = SchedulerAttributes
  kIoPriority = 52,     // a = ioprio_set's value
  kCpuAffinity = 53,    // text = uint64_t[a], a bit a CPU
  kPersonality = 54,    // a
  kSecurityLabel = 55,  // text = label of the next execve; a = SecurityModule
  kTimeOffsets = 56,    // text, as /proc/self/timens_offsets takes it
  kMemoryPolicy = 57,   // a = mode and flags of set_mempolicy(2), text = uint64_t[b] of nodes
  kDomainname = 58,     // text
  // Between the process and who launched it (child_launch.cc)
  kGate = 64,                 // tells the launcher, then waits for a byte from fd
  kAwaitStart = 65,           // the report goes to fd2 from now on; waits for a byte from fd
  kHook = 66,                 // runs a program to its end: text = positions of path, a arguments, b variables; fd = its
                              // standard input, read from the beginning; c = seconds or 0
  kTerminal = 67,             // new terminal of the devpts mount fd, or of /dev/pts: its end to the socket fd2, the
                              // process's own end in out; a = columns | rows << 16
  kControllingTerminal = 68,  // fd becomes the controlling terminal of this session leader
  kFindProgram = 69,          // fails as the execution would if no candidate can be executed
  kPreserve = 70,             // a slots from fd on become the program's descriptors 3 and following
  kTerminalStreams = 71,      // fd becomes the standard streams; a = its owner
  kCloseOnExec = 72,          // for every descriptor but the standard ones and those that kPreserve has given
};

enum StepFlag : uint16_t {
  kMissingOk = 1,     // ENOENT ends the step without an error
  kPermissionOk = 2,  // EACCES and EPERM too
  kRecursive = 4,
  // Of kOpenTree:
  kMakeMissing = 8,    // a directory is made where nothing is
  kNoMagicLinks = 16,  // nothing behind /proc/PID/root and the like
  kNotProc = 32,       // nothing below a procfs
  kBeneath = 64,       // the path is below fd and leaves it neither by ".." nor by a link
};

// kTargetLikeSource: as the descriptor fd2 is.
enum TargetKind : uint64_t { kTargetDirectory = 0, kTargetFile = 1, kTargetLikeSource = 2 };

// Flags of kOpenTree: of <linux/mount.h> and <linux/fcntl.h>, which cannot be included beside <sys/mount.h>
// (glibc 2.36).
inline constexpr uint64_t kOpenTreeClone = 1;
inline constexpr uint64_t kAtEmptyPath = 0x1000;
inline constexpr uint64_t kAtRecursive = 0x8000;

enum SecurityModule : uint64_t { kAppArmor = 0, kSelinux = 1 };

// sched_setattr(2) takes this form, struct sched_attr of Linux 3.14, for ever.
struct SchedulerAttributes {
  uint32_t size = sizeof(SchedulerAttributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
};
static_assert(sizeof(SchedulerAttributes) == 48);

inline constexpr int16_t kNoSlot = -1;
inline constexpr int16_t kJoinSlot = 0;  // pidfd of the process whose namespaces are joined
inline constexpr int16_t kPidSlot = 1;   // pidfd of the process whose PID namespace is joined
inline constexpr int16_t kFirstFreeSlot = 2;
inline constexpr int16_t kMaxSlots = 1024;
inline constexpr size_t kMaxGiven = 64;
inline constexpr uint32_t kNoText = ~0U;

struct PlanStep {
  Op op = Op::kNone;
  uint16_t flags = 0;
  int16_t fd = kNoSlot;
  int16_t fd2 = kNoSlot;
  int16_t out = kNoSlot;
  int16_t reserved = 0;
  uint32_t text = kNoText;
  uint32_t text2 = kNoText;
  uint32_t label = kNoText;  // for the error text: "mount proc on /proc"
  uint32_t reserved2 = 0;
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t c = 0;
};
static_assert(sizeof(PlanStep) == 56);

// How the first process is made and what it becomes.
struct PlanHeader {
  uint32_t magic = kPlanMagic;
  uint32_t total_bytes = 0;
  uint32_t step_count = 0;
  uint32_t byte_count = 0;
  uint64_t clone_flags = 0;         // CLONE_NEW* of the clone3
  uint32_t join_pid_namespace = 0;  // 1: born in the PID namespace of the process in kPidSlot
  // What is executed: position of uint32_t[n] positions of texts. No candidates: the pause program.
  uint32_t candidates = kNoText;  // absolute paths, tried in order (PATH lookup inside the root)
  uint32_t candidate_count = 0;
  uint32_t arguments = kNoText;
  uint32_t argument_count = 0;
  uint32_t environment = kNoText;
  uint32_t environment_count = 0;
  uint32_t exec_label = kNoText;
  // PlanUserNamespace[n]. The launcher makes them, or has them, before the clone.
  uint32_t user_namespaces = 0;
  uint16_t user_namespace_count = 0;
  uint16_t given_count = 0;  // descriptors of the launcher in the slots from kFirstFreeSlot on
};
static_assert(sizeof(PlanHeader) == 64);

// A user namespace in a slot. Without texts: the pod's. Format of the texts: /proc/PID/uid_map.
struct PlanUserNamespace {
  uint32_t uid_map = kNoText;
  uint32_t gid_map = kNoText;
  uint32_t slot = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(PlanUserNamespace) == 16);

// What the child sends when it cannot go on; end of file instead means that the program runs.
struct ChildFailure {
  uint32_t step = 0;  // index into the steps; step_count: the execution itself
  int32_t error = 0;  // errno
};
// In `step`, these are no failures: a second stage has begun (its pid in `error`), a kGate is reached.
inline constexpr uint32_t kReportStage = ~0U;
inline constexpr uint32_t kReportGate = ~1U;

// A plan in memory, checked.
class PlanView {
 public:
  explicit PlanView(std::span<const std::byte> data) : data_(data) {}

  [[nodiscard]] const PlanHeader& header() const { return *reinterpret_cast<const PlanHeader*>(data_.data()); }
  [[nodiscard]] std::span<const PlanStep> steps() const {
    return {reinterpret_cast<const PlanStep*>(data_.data() + sizeof(PlanHeader)), header().step_count};
  }
  [[nodiscard]] const char* Bytes(uint32_t position) const {
    return reinterpret_cast<const char*>(data_.data()) + sizeof(PlanHeader) + header().step_count * sizeof(PlanStep) +
           position;
  }
  [[nodiscard]] const char* Text(uint32_t position) const { return position == kNoText ? nullptr : Bytes(position); }
  [[nodiscard]] const uint32_t* Array(uint32_t position) const {
    return reinterpret_cast<const uint32_t*>(Bytes(position));
  }
  [[nodiscard]] std::span<const PlanUserNamespace> user_namespaces() const {
    if (header().user_namespace_count == 0) return {};
    return {reinterpret_cast<const PlanUserNamespace*>(Bytes(header().user_namespaces)), header().user_namespace_count};
  }

 private:
  std::span<const std::byte> data_;
};

// True if `data` (8-byte aligned) is a whole plan that a child may follow.
bool ValidatePlan(std::span<const std::byte> data);

}  // namespace fermata::runtime
