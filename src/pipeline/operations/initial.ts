// Start values of folds: each fold gets its own, so that one which changes its accumulator in place changes no other.

/** A maker of start values: the function itself, or copies of a value. */
export function starter(init: unknown): () => unknown {
  if (typeof init === 'function') return () => (init as () => unknown)()
  if (typeof init !== 'object' || init === null) return () => init
  return () => structuredClone(init)
}
