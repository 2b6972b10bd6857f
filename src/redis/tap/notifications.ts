// Keyspace events by publish and subscribe, of one server: for those that refuse replicas. What happens while nobody listens
// is lost; it is told that it may have been.
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError } from '../../errors.ts'
import { parseUrl, type Address } from '../url.ts'
import { CommandStream } from './command-stream.ts'

const retryMs = 500

export interface Notice {
  readonly database: number
  readonly event: string
  readonly key: string
}

export interface NotificationOptions {
  readonly url: string
  readonly address: () => Promise<Address>
  /** `lost`: nobody listened for a while. */
  readonly take: (notices: readonly Notice[], lost: boolean) => Promise<void>
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

/** Runs until its signal aborts, or `take` throws. */
export async function runNotifications(options: NotificationOptions): Promise<void> {
  const { signal, trouble } = options
  let before = false
  while (!signal.aborted) {
    const outcome = await listen(options, before)
    if ('failed' in outcome) throw outcome.failed
    before = before || outcome.listened
    if (signal.aborted) return
    trouble('listening to notifications', outcome.ended)
    await delay(retryMs, undefined, { signal }).catch(() => undefined)
  }
}

type Ended = { readonly listened: boolean; readonly ended: unknown } | { readonly failed: unknown }

async function listen({ url, address, take, signal }: NotificationOptions, before: boolean): Promise<Ended> {
  const { credentials, tls } = parseUrl(url)
  let listened = false
  let socket: ReturnType<typeof connect> | undefined
  const abort = (): void => void socket?.destroy()
  try {
    const at = await address()
    socket =
      'path' in at ? connect(at.path) : tls ? connectTls({ host: at.host, port: at.port }) : connect(at.port, at.host)
    signal.addEventListener('abort', abort)
    const { username, password } = credentials
    if (password !== undefined) send(socket, 'AUTH', ...(username === undefined ? [] : [username]), password)
    // Where the server does not allow it, its own setting decides.
    send(socket, 'CONFIG', 'SET', 'notify-keyspace-events', 'AKE')
    send(socket, 'PSUBSCRIBE', '__keyevent@*__:*')
    const stream = new CommandStream(0)
    for await (const bytes of socket) {
      const notices: Notice[] = []
      let began = false
      for (const parts of stream.push(bytes as Buffer)) {
        const [kind, , channel, key] = parts.map((part) => part.toString())
        if (kind === 'psubscribe') began = true
        const [, database, event] = /^__keyevent@(\d+)__:(.*)$/.exec(channel ?? '') ?? []
        if (kind === 'pmessage' && event !== undefined)
          notices.push({ database: Number(database), event, key: key ?? '' })
      }
      if (began || notices.length > 0) {
        try {
          await take(notices, began && before)
        } catch (failed) {
          return { failed }
        }
      }
      listened ||= began
    }
    return { listened, ended: new ConnectError('CONNECT_LOST', 'the server closed the connection') }
  } catch (ended) {
    return { listened, ended }
  } finally {
    signal.removeEventListener('abort', abort)
    socket?.destroy()
  }
}

function send(socket: ReturnType<typeof connect>, ...args: readonly string[]): void {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
  socket.write(`*${args.length}\r\n${parts.join('')}`)
}
