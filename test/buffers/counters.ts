// The schema that writable.test.ts and its processes share.
import { bool, date, f32, f64, i32, i64, i8, optional, str, struct, u16, u32, u64 } from '../../src/buffers/index.ts'

export const Counters = struct('Counters', {
  name: str,
  i8,
  u16,
  i32,
  u32,
  i64,
  u64,
  f32,
  f64,
  swapped: u32,
  flag: bool,
  day: date,
  missing: optional(u32),
})
