class Stack {
    private int[] items = new int[8];
    private int size = 0;

    void push(int item) {
        if (size == items.length) {
            items = java.util.Arrays.copyOf(items, size * 2);
        }
        items[size] = item;
        size += 1;
    }

    int pop() {
        return items[--size];
    }
}
