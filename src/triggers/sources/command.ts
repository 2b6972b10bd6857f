// Calls by other clients: `FCALL gm_call 1 '<namespace>:{gm0}' name arg ...` adds an entry to the trigger's own stream.
import { textOf } from '../../redis/replies.ts'
import type { EventSource } from './source.ts'

/** What a call is to the function that answers it. */
export interface CallEvent {
  /** Its id, as the caller has it. */
  readonly call: string
  readonly arguments: readonly string[]
}

export function commandSource(name: string, stream: string): EventSource {
  return {
    streams: { key: stream },
    deletes: true,
    binary: false,
    record: (_stream, id, event): CallEvent => {
      const [, , ...rest] = (event as readonly string[]).map(textOf)
      return { call: `${name}-${id}`, arguments: rest.filter((_, i) => i % 2 === 1) }
    },
  }
}
