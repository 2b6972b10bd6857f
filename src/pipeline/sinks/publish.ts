// Mode replace: a whole value is built under a temporary key of the attempt, in the slot of its target, and takes the
// target's place when the task commits. A failed execution publishes nothing; what it built expires.
import { randomBytes } from 'node:crypto'
import { ArgumentWriter, type EncodedArguments } from '../../redis/protocol/arguments.ts'
import { slotTag } from '../../redis/slots.ts'
import type { MergeContext } from '../define.ts'

// Pairs of one command: the server is held for less than a millisecond by each.
const pairsTogether = 200
// And no more than about this many bytes.
const bytesTogether = 512 * 1024
// Commands that are under way at a time.
const window = 8

/** Collects pairs to the arguments of commands. */
export class PairWriter extends ArgumentWriter {
  /** There are as many as one command should have. */
  get isFull(): boolean {
    return this.length >= 2 * pairsTogether || this.bytes >= bytesTogether
  }
}

/**
 * Writes pairs with `command` and publishes the key. Returns how many pairs there were.
 * @param command ZADD or HSET, which take `key pair pair ...`
 * @param parts the pairs, as a PairWriter cut them
 */
export async function publish(
  context: MergeContext,
  target: string,
  command: 'ZADD' | 'HSET',
  parts: AsyncIterable<EncodedArguments>,
): Promise<number> {
  if (!(await context.mayPublish())) return 0
  const { task, environment } = context
  const { deployment, namespace } = environment
  const tag = slotTag(deployment.slotOf(target))
  // A name of its own: an attempt that was overtaken may be writing still.
  const temporary = `${namespace}:{${tag}}:tmp:${task.execution}.${randomBytes(4).toString('hex')}`
  const expiryMs = await task.temporary(temporary)

  let written = 0
  let waiting: Promise<unknown>[] = []
  const settle = async (): Promise<void> => {
    await Promise.all([...waiting, deployment.command(temporary, ['PEXPIRE', temporary, expiryMs])])
    waiting = []
  }
  for await (const part of parts) {
    task.signal.throwIfAborted()
    waiting.push(deployment.columns({ key: temporary }, [command, temporary], part))
    written += part.length / 2
    if (waiting.length >= window) await settle()
  }
  if (waiting.length > 0) await settle()

  // Redis keeps no empty values: an empty result is a key that is gone. The first RENAME fails where the temporary key is
  // not there any more, before the old value is touched.
  const complete = `${temporary}.all`
  const effects =
    written === 0
      ? [['UNLINK', target] as const]
      : [
          ['RENAME', temporary, complete] as const,
          ['UNLINK', target] as const,
          ['RENAME', complete, target] as const,
          ['PERSIST', target] as const,
        ]
  await task.effect(0, effects)
  return written
}
