#include "device/cpu/cpu_stream.h"

#include <utility>

namespace reprise::device::cpu {

void CpuEvent::Point::signal() {
  const std::scoped_lock lock(mutex_);
  passed_ = true;
  time_ = Clock::now();
  passed_changed_.notify_all();  // under the lock: a waiter may own the last reference and destroy the point
}

void CpuEvent::Point::wait() const {
  std::unique_lock lock(mutex_);
  passed_changed_.wait(lock, [&] { return passed_; });
}

bool CpuEvent::Point::passed() const {
  const std::scoped_lock lock(mutex_);
  return passed_;
}

CpuEvent::Clock::time_point CpuEvent::Point::time() const {
  const std::scoped_lock lock(mutex_);
  return time_;
}

bool CpuEvent::query() const {
  const auto current = point();
  return current == nullptr || current->passed();
}

void CpuEvent::synchronize() const {
  if (const auto current = point()) current->wait();
}

std::shared_ptr<CpuEvent::Point> CpuEvent::point() const {
  const std::scoped_lock lock(mutex_);
  return point_;
}

std::shared_ptr<CpuEvent::Point> CpuEvent::renew() {
  auto fresh = std::make_shared<Point>();
  const std::scoped_lock lock(mutex_);
  point_ = fresh;
  return fresh;
}

void InlineStream::record(Event& event) { static_cast<CpuEvent&>(event).renew()->signal(); }

QueueStream::QueueStream() : worker_([this] { work(); }) {}

QueueStream::~QueueStream() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
  }
  work_arrived_.notify_one();
  worker_.join();
}

void QueueStream::push(Job job, bool always) {
  {
    const std::scoped_lock lock(mutex_);
    queue_.push_back({std::move(job), always});
  }
  work_arrived_.notify_one();
}

void QueueStream::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_arrived_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Entry entry = std::move(queue_.front());
    queue_.pop_front();
    const bool skip = error_ != nullptr && !entry.always;
    busy_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      if (!skip) entry.job();
    } catch (...) {
      error = std::current_exception();
    }
    entry.job = nullptr;  // what it holds goes outside the lock
    lock.lock();
    busy_ = false;
    if (error != nullptr) error_ = std::move(error);
    if (queue_.empty()) drained_.notify_all();
  }
}

void QueueStream::synchronize() {
  std::unique_lock lock(mutex_);
  drained_.wait(lock, [&] { return queue_.empty() && !busy_; });
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

bool QueueStream::query() const {
  const std::scoped_lock lock(mutex_);
  return queue_.empty() && !busy_;
}

void QueueStream::record(Event& event) {
  push([point = static_cast<CpuEvent&>(event).renew()] { point->signal(); }, true);
}

void QueueStream::wait(const Event& event) {
  if (auto point = static_cast<const CpuEvent&>(event).point()) push([point = std::move(point)] { point->wait(); }, true);
}

}  // namespace reprise::device::cpu
