interface Item {
  name: string;
  tags: string[];
}

function group(items: Item[]): Map<string, Item[]> {
  const found = new Map<string, Item[]>();
  for (const item of items) {
    const key = item.tags[0] ?? "none";
    found.set(key, [...(found.get(key) ?? []), item]);
  }
  return found;
}
