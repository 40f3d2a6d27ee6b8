// What a schema's alias marks say.
#include "api/compiler/signature.h"

#include <gtest/gtest.h>

namespace reprise::api {
namespace {

using Marks = std::vector<std::string>;

TEST(Signatures, KnowWhatIsWrittenBehindDefaultsWithCommas) {
  const auto signature = parse_signature("mylib::foo_(Tensor x, int[2] sizes=[1, 2], *, Tensor(a!)[] parts, Tensor(b!)? last=None) -> (Tensor, Tensor(b!))");
  EXPECT_EQ(signature.written, (Marks{"", "", "a", "b"}));
  EXPECT_EQ(signature.returned, (Marks{"", "b"}));
}

TEST(Signatures, MayReturnNothing) {
  EXPECT_EQ(parse_signature("mylib::foo_(Tensor(a!) x) -> ()").written, Marks{"a"});
  EXPECT_EQ(parse_signature("mylib::foo(Tensor x)").written, Marks{""});
}

}  // namespace
}  // namespace reprise::api
