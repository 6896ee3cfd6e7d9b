const total = (items) => {
  let sum = 0;
  for (const item of items) {
    if (item.price > 0) {
      sum += item.price * (item.count || 1);
    }
  }
  return sum;
};

function pick(names, index) {
  const found = names[index];
  return found ? found.trim() : null;
}
