// Follows one primary: every write in its order, each with the database and the transaction that it belongs to. Comes back
// after every loss of the connection and goes on where it was; says where it could not.
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError } from '../../errors.ts'
import { parseUrl, type Address } from '../url.ts'
import { runLink, type TapPosition } from './link.ts'

const retryMs = 200
const longestRetryMs = 5000

/** One write, or several that took effect together. */
export interface TappedWrite {
  readonly database: number
  readonly commands: readonly (readonly Buffer[])[]
}

export interface TapState extends TapPosition {
  /** What the last SELECT in the stream chose. */
  readonly database: number
}

export interface TapOptions {
  readonly url: string
  /** Where the primary is now; asked again before each attempt. */
  readonly address: () => Promise<Address>
  readonly from: TapState | undefined
  /**
   * Takes writes, and the state to go on from behind them. `gap`: what happened between the state before and this one is
   * not known. Resolves when both are safe.
   */
  readonly take: (writes: readonly TappedWrite[], state: TapState, gap: boolean) => Promise<void>
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

/** The names that are no writes, by their length: most commands are told by that alone. */
const frames: Readonly<Record<number, readonly string[]>> = {
  4: ['EXEC', 'PING'],
  5: ['MULTI'],
  6: ['SELECT'],
  8: ['REPLCONF'],
}

function frameOf(name: Buffer): string {
  const names = frames[name.length]
  if (names === undefined) return ''
  const text = name.toString('latin1').toUpperCase()
  return names.includes(text) ? text : ''
}

/** Runs until its signal aborts, or until the server refuses replicas (CONNECT_PERMISSION), or `take` throws. */
export async function runTap(options: TapOptions): Promise<void> {
  const { url, signal, take } = options
  const { credentials, tls } = parseUrl(url)
  let state = options.from
  let pause = retryMs
  while (!signal.aborted) {
    let failed: Error | undefined
    // Of a transaction that is not complete; what is taken ends in front of it.
    let open: Buffer[][] | undefined
    let database = state?.database ?? 0
    let pending: TappedWrite[] = []
    try {
      const address = await options.address()
      const pass = async (writes: readonly TappedWrite[], position: TapPosition, gap: boolean): Promise<void> => {
        const next = { ...position, database }
        try {
          await take(writes, next, gap)
          state = next
        } catch (error) {
          failed = error instanceof Error ? error : new ConnectError('CONNECT_LOST', String(error))
          throw error
        }
      }
      await runLink(
        address,
        { credentials, tls },
        state,
        {
          started: (position, continued) => {
            pause = retryMs
            if (!continued) database = 0
            return pass([], position, !continued && state !== undefined)
          },
          commands: async (commands, position) => {
            for (const command of commands) {
              const name = frameOf(command[0] as Buffer)
              if (name === 'SELECT') database = Number((command[1] as Buffer).toString())
              else if (name === 'MULTI') open = []
              else if (name === 'EXEC') {
                if (open !== undefined && open.length > 0) pending.push({ database, commands: open })
                open = undefined
              } else if (open !== undefined) open.push(command)
              else if (name !== 'PING' && name !== 'REPLCONF') pending.push({ database, commands: [command] })
            }
            // Behind half a transaction nothing can be gone on from.
            if (open !== undefined) return
            const writes = pending
            pending = []
            await pass(writes, position, false)
          },
        },
        signal,
      )
    } catch (error) {
      if (failed !== undefined) throw failed
      if (error instanceof ConnectError && (error.code === 'CONNECT_PERMISSION' || error.code === 'CONNECT_AUTH'))
        throw error
      if (!signal.aborted) options.trouble('following the primary', error)
    }
    if (!signal.aborted) await delay(pause, undefined, { signal }).catch(() => undefined)
    pause = Math.min(longestRetryMs, pause * 2)
  }
}
