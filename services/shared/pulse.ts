/** Answers the supervisor that asks over IPC whether we still move. Without an IPC channel nobody asks. */
export function answerPulse(): void {
  process.on('message', (message) => {
    const isAsked = typeof message === 'object' && message !== null && 'type' in message;
    if (isAsked && message.type === 'pulse') process.send?.({ type: 'pulse' });
  });
}
