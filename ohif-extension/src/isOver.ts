/** Whether a request was aborted. Asked anew after each await; TypeScript would take the property for unchanged. */
export function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}
