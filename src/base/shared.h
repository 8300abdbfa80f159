// Values that many hold and hardly anybody changes.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>

namespace weft {

/// A list whose copies are one list in memory until one of them is changed. `List` is a container
/// such as std::vector. Copies may be read and destroyed in several threads.
template <class List>
class Shared {
 public:
  using value_type = typename List::value_type;

  Shared() = default;
  Shared(List list) : list_(list.empty() ? nullptr : std::make_shared<List>(std::move(list))) {}
  Shared(std::initializer_list<value_type> items) : Shared(List(items)) {}

  [[nodiscard]] const List& operator*() const {
    static const List none;
    return list_ ? *list_ : none;
  }
  operator const List&() const { return **this; }

  [[nodiscard]] auto begin() const { return (**this).begin(); }
  [[nodiscard]] auto end() const { return (**this).end(); }
  [[nodiscard]] bool empty() const { return list_ == nullptr || list_->empty(); }
  [[nodiscard]] std::size_t size() const { return (**this).size(); }
  [[nodiscard]] const value_type& operator[](std::size_t i) const { return (**this)[i]; }

  /// The list to be changed: a copy of its own where others hold it, too.
  List& edit() {
    if (!list_) list_ = std::make_shared<List>();
    if (list_.use_count() > 1) list_ = std::make_shared<List>(*list_);
    return *list_;
  }
  void push_back(value_type item) { edit().push_back(std::move(item)); }
  void clear() { list_ = nullptr; }

  friend bool operator==(const Shared& a, const Shared& b) {
    return a.list_ == b.list_ || *a == *b;
  }
  friend bool operator==(const Shared& a, const List& b) { return *a == b; }

 private:
  std::shared_ptr<List> list_;
};

}  // namespace weft
