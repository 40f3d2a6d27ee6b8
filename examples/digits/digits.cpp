// Classifies handwritten digits with a small convolutional net that PyTorch trained and exported (train.py), and checks the logits against PyTorch's.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "reprise/reprise.h"

namespace rp = reprise;

namespace {

std::map<std::string, rp::Tensor> arrays(const std::string& path) {
  std::map<std::string, rp::Tensor> out;
  for (auto& [name, array] : rp::load_npz(path)) out.emplace(name, array);
  return out;
}

std::vector<std::int64_t> predictions(const rp::Tensor& logits) {
  std::vector<std::int64_t> best;
  const auto classes = logits.size(1);
  for (std::int64_t row = 0; row < logits.size(0); ++row) {
    const auto* scores = logits.data_as<float>() + row * classes;
    best.push_back(std::max_element(scores, scores + classes) - scores);
  }
  return best;
}

double largest_difference(const rp::Tensor& a, const rp::Tensor& b) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a.data_as<float>()[i]) - static_cast<double>(b.data_as<float>()[i])));
  return largest;
}

// Two pixels of the image per character cell row, five shades of grey.
void draw(const rp::Tensor& images, const std::vector<std::int64_t>& predicted, std::int64_t first, std::int64_t count) {
  const auto size = images.size(2);
  const char* shades[] = {"  ", "░░", "▒▒", "▓▓", "██"};
  const float brightest = *std::max_element(images.data_as<float>(), images.data_as<float>() + images.numel());
  for (std::int64_t y = 0; y < size; ++y) {
    for (std::int64_t i = first; i < first + count; ++i) {
      const auto* row = images.data_as<float>() + (i * size + y) * size;
      for (std::int64_t x = 0; x < size; ++x) std::printf("%s", shades[std::clamp(static_cast<int>(row[x] / brightest * 4.999F), 0, 4)]);
      std::printf("  ");
    }
    std::printf("\n");
  }
  for (std::int64_t i = first; i < first + count; ++i)
    std::printf("%-*s", static_cast<int>(2 * size + 2), ("it is a " + std::to_string(predicted[static_cast<std::size_t>(i)])).c_str());
  std::printf("\n");
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

int classify(const std::string& folder) {
  const auto begin = std::chrono::steady_clock::now();
  const auto program = rp::load_program(folder + "/digits.pt2");
  const auto module = rp::compile(program);

  const auto test = arrays(folder + "/test.npz");
  const auto& images = test.at("input_0");
  const auto& labels = test.at("labels");
  const auto expected = arrays(folder + "/expected.npz").at("output_0");

  std::vector<rp::Tensor> inputs{images};
  auto logits = std::get<rp::Tensor>(module(inputs).at(0));
  const double ready = milliseconds_since(begin);
  const auto start = std::chrono::steady_clock::now();
  constexpr int kRounds = 20;
  for (int i = 0; i < kRounds; ++i) logits = std::get<rp::Tensor>(module(inputs).at(0));
  const double per_image = milliseconds_since(start) * 1e3 / kRounds / static_cast<double>(images.size(0));

  const auto predicted = predictions(logits), theirs = predictions(expected);
  std::int64_t right = 0, agree = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    right += predicted[i] == labels.data_as<std::int64_t>()[i];
    agree += predicted[i] == theirs[i];
  }
  const auto n = static_cast<std::int64_t>(predicted.size());
  const double difference = largest_difference(logits, expected);
  draw(images, predicted, 0, 6);
  std::printf("accuracy         %.2f %% of %lld test images\n", 100.0 * static_cast<double>(right) / static_cast<double>(n), static_cast<long long>(n));
  std::printf("same as PyTorch  %lld of %lld predictions, logits differ by at most %.2g\n", static_cast<long long>(agree), static_cast<long long>(n),
              difference);
  std::printf("time per image   %.2f us (batch of %lld); load, compile and first call took %.1f ms\n", per_image, static_cast<long long>(n), ready);
  return agree == n && difference < 1e-3 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return classify(argc > 1 ? argv[1] : ".");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "digits: %s\n", e.what());
    return 1;
  }
}
