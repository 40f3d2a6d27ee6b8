// Streams and events of the CPU: the default stream runs inline, the others have a worker thread each.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "device/device.h"

namespace reprise::device::cpu {

class CpuEvent final : public Event {
 public:
  using Clock = std::chrono::steady_clock;

  /// One point in one stream. Shared with the streams that signal it or wait for it.
  class Point {
   public:
    void signal();
    void wait() const;
    [[nodiscard]] bool passed() const;
    [[nodiscard]] Clock::time_point time() const;  // of a passed point

   private:
    mutable std::mutex mutex_;
    mutable std::condition_variable passed_changed_;
    bool passed_ = false;
    Clock::time_point time_{};
  };

  [[nodiscard]] bool query() const override;
  void synchronize() const override;

  /// Null: never recorded.
  [[nodiscard]] std::shared_ptr<Point> point() const;
  std::shared_ptr<Point> renew();

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Point> point_;
};

/// What all CPU streams can do beside the interface: run a host function in order.
class CpuStream : public Stream {
 public:
  using Job = std::function<void()>;
  virtual void enqueue(Job job) = 0;
};

class InlineStream final : public CpuStream {
 public:
  void enqueue(Job job) override { job(); }
  void synchronize() override {}
  [[nodiscard]] bool query() const override { return true; }
  void record(Event& event) override;
  void wait(const Event& event) override { event.synchronize(); }
  [[nodiscard]] bool is_default() const override { return true; }
};

class QueueStream final : public CpuStream {
 public:
  QueueStream();
  ~QueueStream() override;

  void enqueue(Job job) override { push(std::move(job), false); }
  void synchronize() override;
  [[nodiscard]] bool query() const override;
  void record(Event& event) override;
  void wait(const Event& event) override;
  [[nodiscard]] bool is_default() const override { return false; }

 private:
  struct Entry {
    Job job;
    bool always;  // runs behind a failed job too (events)
  };
  void push(Job job, bool always);
  void work();

  mutable std::mutex mutex_;
  std::condition_variable work_arrived_, drained_;
  std::deque<Entry> queue_;
  bool busy_ = false, closing_ = false;
  std::exception_ptr error_;
  std::thread worker_;  // last: it uses all of the above
};

}  // namespace reprise::device::cpu
