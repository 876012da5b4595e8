// Label selectors of controllers, which have to take the labels of their template.
#include <algorithm>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

using Labels = std::map<std::string, std::string>;

struct Expression {
  std::string key, op;
  std::vector<std::string> values;
};
constexpr Field<Expression> kExpressionFields[] = {
    {"key", Put<&Expression::key, ReadString>},
    {"operator", Put<&Expression::op, ReadString>},
    {"values", Put<&Expression::values, ReadStrings>},
};

struct Operator {
  std::string_view name;
  bool has_values, when_absent;  // whether it takes labels without the key
  bool (*takes)(const std::vector<std::string>& values, const std::string& value);
};
bool IsIn(const std::vector<std::string>& values, const std::string& value) {
  return std::ranges::find(values, value) != values.end();
}
constexpr Operator kOperators[] = {
    {"In", true, false, IsIn},
    {"NotIn", true, true, [](const auto& values, const auto& value) { return !IsIn(values, value); }},
    {"Exists", false, false, [](const auto&, const auto&) { return true; }},
    {"DoesNotExist", false, true, [](const auto&, const auto&) { return false; }},
};

Result<Expression> ReadExpression(const Node& node) {
  Expression expression;
  RETURN_IF_ERROR(ReadObject(node, kExpressionFields, expression));
  RETURN_IF_ERROR(Require(node, "key", !expression.key.empty()));
  const auto* known = std::ranges::find(kOperators, expression.op, &Operator::name);
  if (known == std::end(kOperators)) {
    return BadValue(node, "the operator must be In, NotIn, Exists or DoesNotExist");
  }
  if (known->has_values == expression.values.empty()) {
    return BadValue(node, expression.op, known->has_values ? " needs values" : " has no values");
  }
  return expression;
}
Result<std::vector<Expression>> ReadExpressions(const Node& node) { return ReadList<Expression>(node, ReadExpression); }

struct SelectorDraft {
  Labels labels;
  std::vector<Expression> expressions;
};
constexpr Field<SelectorDraft> kSelectorFields[] = {
    {"matchLabels", Put<&SelectorDraft::labels, ReadLabels>},
    {"matchExpressions", Put<&SelectorDraft::expressions, ReadExpressions>},
};

bool Takes(const Expression& expression, const Labels& labels) {
  const auto* op = std::ranges::find(kOperators, expression.op, &Operator::name);
  const auto label = labels.find(expression.key);
  return label == labels.end() ? op->when_absent : op->takes(expression.values, label->second);
}

}  // namespace

Result<> CheckSelector(const Node& node, const Labels& labels) {
  SelectorDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kSelectorFields, draft));
  if (draft.labels.empty() && draft.expressions.empty()) return BadValue(node, "selects everything");
  const bool all = std::ranges::all_of(draft.labels, [&](const auto& wanted) {
    const auto label = labels.find(wanted.first);
    return label != labels.end() && label->second == wanted.second;
  });
  if (all && std::ranges::all_of(draft.expressions, [&](const Expression& e) { return Takes(e, labels); })) return {};
  return BadValue(node, "does not match the labels of the template");
}

}  // namespace fermata::sandbox::pods
