// What a kernel threw, which can be anything, as texts that can travel.

export interface Thrown {
  /** '' where it is no error. */
  readonly name: string
  readonly message: string
  readonly stack: string
  readonly code?: string
  readonly cause?: Thrown
}

const longestName = 256
const longestMessage = 4096
const longestStack = 8192
const longestCode = 64
/** Causes of causes that travel. */
export const deepestCause = 4

/** Never throws, whatever the value does when it is looked at. */
export function thrownBy(value: unknown, depth = 1): Thrown {
  const read = (key: string): unknown => {
    try {
      return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
    } catch {
      return undefined
    }
  }
  const text = (key: string, longest: number): string => {
    const found = read(key)
    return typeof found === 'string' ? found.slice(0, longest) : ''
  }
  const [name, message, code] = [text('name', longestName), text('message', longestMessage), text('code', longestCode)]
  const cause = read('cause')
  return {
    name,
    message: name === '' && message === '' ? describe(value).slice(0, longestMessage) : message,
    stack: text('stack', longestStack),
    ...(code === '' ? {} : { code }),
    ...(typeof cause === 'object' && cause !== null && depth < deepestCause
      ? { cause: thrownBy(cause, depth + 1) }
      : {}),
  }
}

function describe(value: unknown): string {
  try {
    return (typeof value === 'object' ? JSON.stringify(value) : undefined) ?? String(value)
  } catch {
    return `a value (${typeof value}) that cannot be shown`
  }
}
