// The yardstick: word count as one would write it by hand in C++ for speed. One thread; knows CSV quotes (doubled ones, line
// breaks inside of values) and words of any length; has no regard for broken rows, encodings or anything but this job.
// Usage: yardstick FILES...   Counts the words of column "text"; prints the same JSON as the others.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view column = "text";

/** Open addressing; the words lie one after the other in one buffer. */
class Counts {
public:
  // memcmp wants an address for the empty word, too.
  Counts() { words_.reserve(1 << 20); }

  struct Entry {
    uint64_t offset;
    uint32_t length;
    uint32_t hash;
    uint64_t count;
  };

  void add(const char* word, size_t length) {
    const uint32_t hash = hashOf(word, length);
    size_t slot = hash & mask_;
    while (entries_[slot].count != 0) {
      Entry& entry = entries_[slot];
      if (entry.hash == hash && entry.length == length && std::memcmp(words_.data() + entry.offset, word, length) == 0) {
        entry.count++;
        return;
      }
      slot = (slot + 1) & mask_;
    }
    entries_[slot] = {words_.size(), static_cast<uint32_t>(length), hash, 1};
    words_.insert(words_.end(), word, word + length);
    if (++size_ * 2 > entries_.size()) grow();
  }

  std::vector<Entry> all() const {
    std::vector<Entry> found;
    for (const Entry& entry : entries_)
      if (entry.count != 0) found.push_back(entry);
    return found;
  }

  std::string_view wordOf(const Entry& entry) const { return {words_.data() + entry.offset, entry.length}; }

private:
  std::vector<Entry> entries_ = std::vector<Entry>(1 << 12);
  std::vector<char> words_;
  size_t mask_ = entries_.size() - 1;
  size_t size_ = 0;

  static uint32_t hashOf(const char* word, size_t length) {
    uint64_t hash = 0x9e3779b97f4a7c15u ^ length;
    for (; length >= 8; word += 8, length -= 8) {
      uint64_t part;
      std::memcpy(&part, word, 8);
      hash = (hash ^ part) * 0xff51afd7ed558ccdu;
      hash ^= hash >> 32;
    }
    uint64_t part = 0;
    std::memcpy(&part, word, length);
    hash = (hash ^ part) * 0xc4ceb9fe1a85ec53u;
    return static_cast<uint32_t>(hash >> 32);
  }

  void grow() {
    std::vector<Entry> larger(entries_.size() * 2);
    mask_ = larger.size() - 1;
    for (const Entry& entry : entries_) {
      if (entry.count == 0) continue;
      size_t slot = entry.hash & mask_;
      while (larger[slot].count != 0) slot = (slot + 1) & mask_;
      larger[slot] = entry;
    }
    entries_.swap(larger);
  }
};

void countWords(Counts& counts, const char* at, const char* end) {
  for (;;) {
    const char* stop = static_cast<const char*>(std::memchr(at, ' ', end - at));
    counts.add(at, (stop ? stop : end) - at);
    if (!stop) return;
    at = stop + 1;
  }
}

class Parser {
public:
  explicit Parser(Counts& counts) : counts_(counts) {}

  /** Takes whole rows; returns where the first row begins that has no end before `end`. */
  const char* rows(const char* at, const char* end, bool last) {
    for (;;) {
      const char* row = at;
      const char* wanted = nullptr;
      size_t wantedLength = 0;
      bool doubled = false;
      for (size_t field = 0;; field++) {
        const char* start = at;
        const char* stop;
        bool hasDoubled = false;
        if (at < end && *at == '"') {
          start = ++at;
          for (;;) {
            at = static_cast<const char*>(std::memchr(at, '"', end - at));
            if (!at || (at + 1 == end && !last)) return row;
            if (at + 1 == end || at[1] != '"') break;
            hasDoubled = true;
            at += 2;
          }
          stop = at++;
          if (at < end && *at == '\r') at++;
        } else {
          while (at < end && *at != ',' && *at != '\n') at++;
          stop = at > start && at[-1] == '\r' ? at - 1 : at;
        }
        if (at == end && (!last || row == end)) return row;
        if (isHeader_ && std::string_view(start, stop - start) == column) wantedField_ = field;
        if (field == wantedField_) {
          wanted = start;
          wantedLength = stop - start;
          doubled = hasDoubled;
        }
        if (at == end || *at++ == '\n') break;
      }
      if (!isHeader_ && wanted) take(wanted, wantedLength, doubled);
      isHeader_ = false;
    }
  }

private:
  Counts& counts_;
  bool isHeader_ = true;
  size_t wantedField_ = SIZE_MAX;
  std::string plain_;

  void take(const char* text, size_t length, bool doubled) {
    if (!doubled) return countWords(counts_, text, text + length);
    plain_.clear();
    for (size_t i = 0; i < length; i++) {
      plain_ += text[i];
      if (text[i] == '"') i++;
    }
    countWords(counts_, plain_.data(), plain_.data() + plain_.size());
  }
};

bool countFile(Counts& counts, const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) return false;
  Parser parser(counts);
  std::vector<char> buffer(1 << 20);
  size_t held = 0;
  for (bool last = false; !last;) {
    if (held == buffer.size()) buffer.resize(buffer.size() * 2);
    const size_t read = std::fread(buffer.data() + held, 1, buffer.size() - held, file);
    last = read == 0;
    const char* end = buffer.data() + held + read;
    const char* rest = parser.rows(buffer.data(), end, last);
    held = end - rest;
    std::memmove(buffer.data(), rest, held);
  }
  return std::fclose(file) == 0;
}

void printText(std::string_view text) {
  std::putchar('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') std::putchar('\\');
    if (static_cast<unsigned char>(c) < 0x20) std::printf("\\u%04x", c);
    else std::putchar(c);
  }
  std::putchar('"');
}

} // namespace

int main(int argc, char** argv) {
  Counts counts;
  for (int i = 1; i < argc; i++) {
    if (countFile(counts, argv[i])) continue;
    std::perror(argv[i]);
    return 1;
  }
  auto all = counts.all();
  uint64_t words = 0;
  for (const auto& entry : all) words += entry.count;
  const size_t most = std::min<size_t>(10, all.size());
  std::partial_sort(all.begin(), all.begin() + most, all.end(), [&](const auto& a, const auto& b) {
    return a.count != b.count ? a.count > b.count : counts.wordOf(a) < counts.wordOf(b);
  });
  std::printf("{\"words\":%llu,\"distinct\":%zu,\"top\":[", static_cast<unsigned long long>(words), all.size());
  for (size_t i = 0; i < most; i++) {
    std::printf(i ? ",[" : "[");
    printText(counts.wordOf(all[i]));
    std::printf(",%llu]", static_cast<unsigned long long>(all[i].count));
  }
  std::printf("]}\n");
}
