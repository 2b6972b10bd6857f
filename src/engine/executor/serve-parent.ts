// The child's side of a process of a worker (child-process.ts): the first message is the set-up, those that follow wait until
// it is done, `close` ends the process in peace, and it never outlives its parent.
import { redirectConsole } from './console.ts'
import { endWithParent } from './parent-watch.ts'

interface SetUp {
  readonly type: 'setup'
  readonly scratch: string
}

export interface ServeOptions<Message extends { readonly type: string }, Served extends { close(): Promise<void> }> {
  /** As errors name the process: 'an executor'. */
  readonly what: string
  /** What it throws ends the process. */
  readonly open: (setup: Extract<Message, SetUp>) => Promise<Served>
  readonly heard: (served: Served, message: Exclude<Message, SetUp | { readonly type: 'close' }>) => void
}

/** Hears the parent, again where user code took all listeners from the process. */
let listen = (): void => undefined

export function serveParent<Message extends { readonly type: string }, Served extends { close(): Promise<void> }>({
  what,
  open,
  heard,
}: ServeOptions<Message, Served>): void {
  const parent = endWithParent()
  redirectConsole(tell)
  // The parent decides when its processes stop; a terminal's Ctrl-C reaches every process of its group.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  const fail = (error: unknown): never => {
    tell({ type: 'log', level: 'error', text: `${what} could not start: ${String(error)}` })
    process.exit(1)
  }
  let served: Promise<Served> | undefined
  const hear = (message: Message): void => {
    if (isSetUp(message)) {
      parent.leaves(message.scratch)
      served = open(message)
      served.then(() => tell({ type: 'ready' }), fail)
      return
    }
    void served?.then((ready) => {
      if (message.type === 'close') void ready.close().finally(() => process.exit(0))
      else heard(ready, message as Exclude<Message, SetUp | { readonly type: 'close' }>)
    }, fail)
  }
  listen = () => {
    if (process.listenerCount('message') > 0) return
    process.on('message', hear)
    process.on('disconnect', () => parent.gone())
  }
  listen()
}

/** Sends a message to the parent, while it is there. */
export function tell(message: object): void {
  listen()
  if (process.connected) process.send?.(message)
}

function isSetUp<Message extends { readonly type: string }>(message: Message): message is Extract<Message, SetUp> {
  return message.type === 'setup'
}
