// Functions that were made in one scope share its variables. V8 shows each function a copy of its scopes, so which functions
// share a scope has to be found: only for variables that a captured function assigns, as for others no one can tell.
import type { AnyNode } from 'acorn'
import { variableIn, type Variables } from './inspector.ts'
import type { Entry } from './script.ts'
import type { Slot } from './wire.ts'

/** A name in a captured function and what it stands for. */
export interface Captured {
  readonly slot: Slot
  /** This function assigns it. */
  readonly written: boolean
  /** The scope that holds the variable, and the syntax that declares it; undefined for what is no variable (imports). */
  readonly scope: Variables | undefined
  readonly declaredBy: AnyNode | undefined
  /** Declared by the module itself: there is one such scope. */
  readonly isModuleLevel: boolean
}

interface User {
  readonly captured: ReadonlyMap<string, Captured>
  readonly entry: Pick<Entry, 'node' | 'maker' | 'isRepeated'>
}

interface Sharing {
  readonly scope: Variables
  readonly users: { readonly captured: Captured; readonly literal: AnyNode }[]
}

export function sameValues(a: Variables, b: Variables): boolean {
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && Object.is(variableIn(a, name), variableIn(b, name)))
  )
}

// A scope of `maker` itself, not of a function around it.
export const isIn = (scope: AnyNode, maker: AnyNode): boolean => scope.start >= maker.start && scope.end <= maker.end

/** Which captured names are one variable with those of other functions: captured name -> index in `cells`, to which values are added. */
export function sharedCells(users: readonly User[], cells: Slot[]): ReadonlyMap<Captured, number> {
  const groups = new Map<AnyNode, Map<string, Sharing[]>>()
  for (const { captured: names, entry } of users) {
    for (const [name, captured] of names) {
      const { scope, declaredBy } = captured
      if (scope === undefined || declaredBy === undefined) continue
      const byName = groups.get(declaredBy) ?? new Map<string, Sharing[]>()
      groups.set(declaredBy, byName)
      const sharings = byName.get(name) ?? []
      byName.set(name, sharings)
      // Equal values do not prove one scope. But one run of a function makes each function in it once, outside of loops: two
      // that come from one place in the source have two scopes then.
      const isMadeOnce = !entry.isRepeated && isIn(declaredBy, entry.maker)
      const same = sharings.find(
        (each) =>
          sameValues(each.scope, scope) && !(isMadeOnce && each.users.some(({ literal }) => literal === entry.node)),
      )
      const use = { captured, literal: entry.node }
      if (same === undefined) sharings.push({ scope, users: [use] })
      else same.users.push(use)
    }
  }
  const result = new Map<Captured, number>()
  for (const byName of groups.values()) {
    for (const sharing of [...byName.values()].flat()) {
      if (sharing.users.length < 2 || !sharing.users.some(({ captured }) => captured.written)) continue
      const [first] = sharing.users
      if (first === undefined) continue
      const cell = cells.push(first.captured.slot) - 1
      for (const { captured } of sharing.users) result.set(captured, cell)
    }
  }
  return result
}
