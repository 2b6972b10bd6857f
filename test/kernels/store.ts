// Stores kernels whose steps may take long: a busy machine is no reason to fail.
import type { KernelOptions, Mill } from '../../src/index.ts'

export function store(mill: Mill, name: string, source: string, options: KernelOptions = {}): Promise<string> {
  return mill.kernels.set(name, source, { timeoutMs: 60_000, ...options })
}
