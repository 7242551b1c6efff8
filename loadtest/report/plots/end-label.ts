/** A line's name at its end, in place of a legend; names that would lie over each other move apart. */
export function endLabel(name: string, widthPx = 76): Record<string, unknown> {
  return {
    endLabel: {
      show: true,
      distance: 6,
      color: 'var(--text)',
      fontSize: 12,
      width: widthPx,
      overflow: 'break',
      formatter: () => name,
    },
    labelLayout: { moveOverlap: 'shiftY' },
  };
}
