//! Slices of frames, errors and a defer. `.ci/stack-pointers` builds it.
const std = @import("std");
const builtin = @import("builtin");

/// May wait, with a frame that its caller passes on.
extern "env" fn fetch(out: [*]u8, capacity: u32) i32;

var count: u32 = 0;

fn page(tag: u8) error{Failed}!u32 {
    var buffer: [88]u8 = undefined;
    for (&buffer, 0..) |*byte, i| byte.* = tag +% @as(u8, @truncate(i));
    count += 1;
    defer count -= 1;
    if (fetch(&buffer, buffer.len) < 0) return error.Failed;
    return sum(&buffer);
}

noinline fn sum(bytes: []const u8) u32 {
    var total: u32 = 0;
    for (bytes) |byte| total = total *% 31 +% byte;
    return total;
}

noinline fn recurse(depth: u32, above: []const u8) error{Failed}!u32 {
    var here: [24]u8 = undefined;
    for (&here, 0..) |*byte, i| byte.* = above[i % above.len] +% 1;
    if (depth == 0) return page(here[3]);
    return (try recurse(depth - 1, here[0 .. 1 + depth % 24])) +% sum(&here);
}

export fn run(depth: u32) u32 {
    const allocator = std.heap.wasm_allocator;
    var list: std.ArrayList(u32) = .empty;
    defer list.deinit(allocator);
    for (0..depth) |i| list.append(allocator, @truncate(i * i)) catch return 0;
    var total = recurse(depth, "abc") catch return 0;
    for (list.items) |item| total +%= item;
    return total;
}
