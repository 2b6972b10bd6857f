// `console` of shipped functions: sent to the supervisor, which shows it (local workers) or logs it (services).
import { format } from 'node:util'
import type { FromExecutor } from '../protocol.ts'

const levels = ['log', 'info', 'warn', 'error', 'debug'] as const
const longest = 64 * 1024

export function redirectConsole(send: (message: FromExecutor) => void): void {
  for (const level of levels) {
    console[level] = (...values: unknown[]) => {
      const text = format(...values)
      send({ type: 'log', level, text: text.length > longest ? `${text.slice(0, longest)}...` : text })
    }
  }
}
