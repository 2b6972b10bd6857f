// Replays a dead letter: applies exactly the commands that were not applied, each once, however often the replay dies.
//
// The commands are cut into runs of one slot and applied like chunks of an outbox, each under a marker that is named after
// the letter's content: a replay that is done again finds what was applied, and a letter that shrank gets markers of its own.
import { createHash } from 'node:crypto'
import type { Deployment, Reply } from '../redis/deployment.ts'
import { itemsOf, numberOf } from '../redis/replies.ts'
import { slotTag } from '../redis/slots.ts'
import { decodeLetter, encodeLetter, packEffects, type EffectCatalogue, type Letter } from './effects.ts'
import type { Command } from './runner.ts'

/** Markers outlive a replay that died in the middle, so that the next one goes on where it stopped. */
const markerTtlMs = 24 * 60 * 60 * 1000

export interface LetterPlace {
  readonly namespace: string
  readonly execution: string
  /** The hash of letters, and the letter's field in it. */
  readonly key: string
  readonly field: string
}

/** How many commands of one letter were applied now, and what is left of it. */
export interface Replayed {
  readonly applied: number
  readonly left: Letter | undefined
}

export async function replayLetter(
  deployment: Deployment,
  catalogue: EffectCatalogue,
  place: LetterPlace,
  bytes: Buffer,
): Promise<Replayed> {
  const { reason, commands } = decodeLetter(bytes)
  const runs = await runsOf(catalogue, commands)
  const markers = runs.map((run, i) => markerOf(place, bytes, run.slot, i))
  let applied = 0
  let left: Letter | undefined
  for (const [i, run] of runs.entries()) {
    const reply = await apply(deployment, markers[i] as string, run.commands)
    applied += reply.applied
    if (reply.letter) {
      const later = runs.slice(i + 1).flatMap((each) => each.commands)
      left = { reason: reply.letter.reason, commands: [...reply.letter.commands, ...later] }
      break
    }
  }
  const rest = left ? encodeLetter(left) : ''
  const mine = numberOf(await deployment.call('replayed', [place.key], [place.field, bytes, rest]))
  await Promise.all(markers.map((marker) => deployment.command(marker, ['UNLINK', marker])))
  // Where another replay was first, it counts what both found applied.
  return mine === 1 ? { applied, left } : { applied: 0, left: left && { reason, commands: left.commands } }
}

interface Run {
  readonly slot: number
  readonly commands: readonly (readonly Buffer[])[]
}

async function runsOf(catalogue: EffectCatalogue, commands: readonly (readonly Buffer[])[]): Promise<Run[]> {
  const runs: { slot: number; commands: (readonly Buffer[])[] }[] = []
  for (const command of commands) {
    const named = asCommand(command)
    await catalogue.learn(named)
    const slot = catalogue.slotOf(named)
    const last = runs.at(-1)
    if (last?.slot === slot) last.commands.push(command)
    else runs.push({ slot, commands: [command] })
  }
  return runs
}

function asCommand(command: readonly Buffer[]): Command {
  const [name, ...args] = command
  return [name?.toString() ?? '', ...args]
}

function markerOf({ namespace, execution, field }: LetterPlace, letter: Buffer, slot: number, run: number): string {
  const content = createHash('sha256').update(letter).digest('hex').slice(0, 16)
  return `${namespace}:{${slotTag(slot)}}:m:${execution}.${field}.${content}.${run}`
}

async function apply(
  deployment: Deployment,
  marker: string,
  commands: Run['commands'],
): Promise<{ applied: number; letter: Letter | undefined }> {
  const effects: (string | number | Uint8Array)[] = []
  packEffects(effects, 0, commands.map(asCommand))
  const args = [0, '', markerTtlMs, deployment.topology.cluster ? 1 : 0, 0, ...effects]
  const reply: readonly Reply[] = itemsOf(await deployment.call('apply', [marker], args, { binary: true }))
  return { applied: numberOf(reply[0]), letter: Buffer.isBuffer(reply[2]) ? decodeLetter(reply[2]) : undefined }
}
