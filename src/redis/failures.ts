// What went wrong between us and a server: sorts errors by what to do next, and gives them their codes.
import { ConnectError, type ErrorOptions } from '../errors.ts'
import { ErrorReply } from './protocol/reader.ts'

/** The server answered a command with an error. `message` is the server's own text. */
export class ReplyError extends ConnectError {
  /** The first word: `WRONGTYPE`, `ERR`, `NOSCRIPT` ... */
  readonly prefix: string

  constructor(message: string, options?: ErrorOptions) {
    super('CONNECT_REPLY', message, options)
    this.prefix = prefixOf(message)
  }
}

/** The command was not sent: there is no connection now. */
export class NotSentError extends ConnectError {
  constructor(cause?: unknown) {
    super('CONNECT_LOST', 'not connected', { cause })
  }
}

/** What to do about an error of a command. All but `lost` and `refused` are sure not to have run. */
export type Verdict =
  /** Ask the owner that the server names. */
  | { readonly kind: 'moved' | 'ask'; readonly slot: number; readonly address: string }
  /** The same again, a little later. */
  | { readonly kind: 'again' }
  /** Again, after reading the topology anew. */
  | { readonly kind: 'refresh' }
  /** The connection broke: nobody knows whether it ran. */
  | { readonly kind: 'lost' }
  /** The server means it. */
  | { readonly kind: 'refused' }

export function judge(error: unknown): Verdict {
  if (error instanceof NotSentError) return { kind: 'again' }
  if (!isReply(error)) return { kind: 'lost' }
  const [prefix = '', slot = '', address = ''] = error.message.split(' ', 3)
  switch (prefix) {
    case 'MOVED':
    case 'ASK':
      return { kind: prefix === 'MOVED' ? 'moved' : 'ask', slot: Number(slot), address }
    case 'LOADING':
    case 'TRYAGAIN':
    case 'BUSY':
      return { kind: 'again' }
    case 'CLUSTERDOWN':
    case 'MASTERDOWN':
    case 'READONLY':
      return { kind: 'refresh' }
    default:
      return { kind: 'refused' }
  }
}

/** An error of a command, as the rest of Gearmill sees it. */
export function toConnectError(error: unknown, where: string): ConnectError {
  if (error instanceof ConnectError) return error
  if (!isReply(error)) {
    const why = error instanceof Error && error.message !== '' ? `: ${error.message}` : ''
    return new ConnectError('CONNECT_LOST', `the connection to ${where} was lost${why}`, { cause: error })
  }
  const message = error.message
  // Inside of a function the server says it in other words, and names the function in place of the command.
  if (message.startsWith("ERR The user executing the script can't")) {
    return new ConnectError('CONNECT_PERMISSION', `${where}: ${message}`, { cause: error })
  }
  switch (prefixOf(message)) {
    case 'WRONGPASS':
    case 'NOAUTH':
      return new ConnectError('CONNECT_AUTH', `${where} refused the credentials: ${message}`, { cause: error })
    case 'NOPERM':
      return new ConnectError('CONNECT_PERMISSION', `${where}: ${message}`, { cause: error })
    case 'OOM':
      return new ConnectError('CONNECT_OOM', `${where}: ${message}`, { cause: error })
    default:
      return new ReplyError(message, { cause: error })
  }
}

/** An error of a connection attempt. */
export function toRefusal(error: unknown, where: string): ConnectError {
  if (error instanceof ConnectError) return error
  if (isReply(error)) {
    // AUTH with a password where none is set, and HELLO on servers before Redis 6, are plain ERR replies.
    if (/without any password configured|invalid password/i.test(error.message)) {
      return new ConnectError('CONNECT_AUTH', `${where} refused the credentials: ${error.message}`, { cause: error })
    }
    if (/unknown command.*hello/i.test(error.message)) {
      return new ConnectError('CONNECT_VERSION', `${where} is older than Redis 6`, { cause: error })
    }
    if (error.message.startsWith('NOPROTO')) {
      return new ConnectError('CONNECT_VERSION', `${where} does not speak RESP3: ${error.message}`, { cause: error })
    }
    if (/DB index is out of range/.test(error.message)) {
      return new ConnectError('CONNECT_URL', `${where} has no database of that number: ${error.message}`, {
        cause: error,
        hint: 'The number after the last / of the URL must be below the `databases` of the server, 16 if not configured.',
      })
    }
    if (error.message.startsWith('ERR SELECT is not allowed in cluster mode')) {
      return new ConnectError('CONNECT_URL', `${where} is a node of a cluster, which has no numbered databases`, {
        cause: error,
        hint: 'Leave out the number after the last / of the URL.',
      })
    }
    // Protected mode, and too many clients.
    if (/^DENIED|max number of clients/.test(error.message)) {
      return new ConnectError('CONNECT_REFUSED', `${where} takes no connection: ${error.message}`, { cause: error })
    }
    return toConnectError(error, where)
  }
  if (isTls(error)) {
    return new ConnectError('CONNECT_REFUSED', `no TLS connection to ${where}: ${reason(error)}`, {
      cause: error,
      hint: 'Check that the server speaks TLS at this port (else redis://), and its certificate; NODE_EXTRA_CA_CERTS names a file of authorities to trust.',
    })
  }
  return new ConnectError('CONNECT_REFUSED', `no server answers at ${where}: ${reason(error)}`, { cause: error })
}

export function isFunctionMissing(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('ERR Function not found')
}

function isReply(error: unknown): error is Error {
  return error instanceof ErrorReply || error instanceof ReplyError
}

/** Handshakes, and certificates that are refused. */
function isTls(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^ERR_(SSL|OSSL|TLS)_|CERT|SELF_SIGNED|UNABLE_TO/.test(code)
}

function prefixOf(message: string): string {
  return /^[A-Z]\w*(?= |$)/.exec(message)?.[0] ?? 'ERR'
}

/** `ECONNREFUSED` and the like; an error about several addresses has no message of its own. */
function reason(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reason).join('; ')
  return error instanceof Error ? error.message : String(error)
}
