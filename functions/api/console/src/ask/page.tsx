import "./ask.css";
import "./composer.css";
import "./conversation.css";
import { Conversation } from "./conversation.tsx";
import { NewConversation } from "./new_conversation.tsx";

export function AskPage({ sessionId }: { sessionId: string | null }) {
  return sessionId ? <Conversation sessionId={sessionId} /> : <NewConversation />;
}
