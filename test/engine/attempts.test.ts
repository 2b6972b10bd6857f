import { expect, it } from 'vitest'
import { firstAttempt, judgeDeath, type AttemptState, type Death } from '../../src/engine/attempts.ts'

const crash: Death = { code: 'EXECUTION_CRASHED', message: 'killed', position: { index: 7, count: 1 } }

/** The states after each of `count` deaths that were the same. */
function after(count: number, death: Death, maxAttempts: number): AttemptState[] {
  const states: AttemptState[] = []
  for (let i = 0; i < count; i++) {
    const { again, state } = judgeDeath(states.at(-1) ?? firstAttempt, death, maxAttempts)
    states.push(state)
    if (!again) break
  }
  return states
}

const skipped = (states: AttemptState[]): number[] => states.map(({ skip }) => skip.length)

it('condemns a record for as many deaths as the task may have', () => {
  expect(skipped(after(3, crash, 3))).toEqual([0, 0, 1])
  expect(skipped(after(4, crash, 4))).toEqual([0, 0, 1, 1])
  expect(skipped(after(1, crash, 1))).toEqual([1])
})

it('condemns none for chance where attempts are unlimited', () => {
  expect(skipped(after(5, crash, 0))).toEqual([0, 0, 0, 0, 1])
  expect(skipped(after(3, { ...crash, code: 'EXECUTION_TIMEOUT' }, 0))).toEqual([0, 0, 1])
})

it('gives up a task whose deaths name no record when its attempts are used up', () => {
  const { position: _, ...nowhere } = crash
  const deaths = (maxAttempts: number): number => after(20, { ...nowhere, position: undefined }, maxAttempts).length
  expect([1, 3, 4, 0].map(deaths)).toEqual([1, 3, 4, 20])
})
