/** What this process has in use, bytes, once everything it let go of is gone. Needs `--expose-gc` to mean much. */
export const occupied = async (): Promise<number> => {
  globalThis.gc?.()
  // Buffers are freed after the collection that found them.
  await new Promise((resolve) => setImmediate(resolve))
  globalThis.gc?.()
  // `external` counts the array buffers.
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
