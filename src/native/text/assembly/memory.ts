// Memory by hand: blocks in sizes of powers of two, with a free list for each size. There is no garbage collector.

const SMALLEST: u32 = 6
const heads = memory.data(32 * 4, 16)
let top: usize = (__heap_base + 63) & ~63

/** The memory may not grow past this many bytes. */
let limit: u64 = 1 << 28

export function setLimit(bytes: u32): void {
  limit = bytes
}

/** The address of a free block, or 0 when the memory is at its limit. The bytes are not cleared. */
export function alloc(size: u32): usize {
  const order = orderOf(size)
  if (order > 31) return 0
  const head = heads + ((order as usize) << 2)
  const free = load<u32>(head)
  if (free != 0) {
    store<u32>(head, load<u32>(free))
    return free
  }
  const end: u64 = (top as u64) + ((1 as u64) << (order as u64))
  const have: u64 = (memory.size() as u64) << 16
  if (end > limit) return 0
  if (end > have) {
    const pages = ((end - have + 0xffff) >> 16) as i32
    if (memory.grow(pages) < 0) return 0
  }
  const block = top
  top = end as usize
  return block
}

/** Gives a block back; `size` is what it was asked for with. */
export function release(block: usize, size: u32): void {
  if (block == 0) return
  const head = heads + ((orderOf(size) as usize) << 2)
  store<u32>(block, load<u32>(head))
  store<u32>(head, block as u32)
}

function orderOf(size: u32): u32 {
  if (size <= 1 << SMALLEST) return SMALLEST
  return 32 - clz(size - 1)
}
