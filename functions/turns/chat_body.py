"""Bodies of POST /v1/chat/completions. Unknown fields are ignored, and wrong types are 422."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from shared.roster.fields import Text

MAX_MESSAGES: Final = 10_000
_TEXTS: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                "required": ["type", "text"],
            },
        },
        {"type": "null"},
    ]
}


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class ChatMessage(_Lenient):
    """`content` is text, or a list of parts with text. Messages of tools and functions are ignored."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[Any, WithJsonSchema(_TEXTS)] = None


class StreamOptions(_Lenient):
    include_usage: bool | None = None


class ChatMetadata(_Lenient):
    session_id: str | None = None
    conversation_id: str | None = None


class ChatBody(_Lenient):
    """`model` is the key of an agent or a council, or `alias/` and the name of an alias. `max_tokens` and
    `max_completion_tokens` lower each reply's cap. An agent's own temperature wins over `temperature`. Tools are
    ignored. Other fields of OpenAI's are, too."""

    model: Annotated[Text, Field(min_length=1)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    tool_choice: Any = None
    metadata: ChatMetadata | None = None
    conversation_id: str | None = None


class PromptTokensView(BaseModel):
    cached_tokens: int


class CompletionTokensView(BaseModel):
    reasoning_tokens: int


class ChatUsageView(BaseModel):
    """Over all calls of the turn. `prompt_tokens` has the cached tokens in it, `completion_tokens` the reasoning."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensView
    completion_tokens_details: CompletionTokensView


class ChatAnswerView(BaseModel):
    role: Literal["assistant"]
    content: str


class ChatChoiceView(BaseModel):
    index: int
    message: ChatAnswerView
    finish_reason: Literal["stop", "length"]


class PantheonView(BaseModel):
    """`turn_id` and `session_id` are null for a call of an alias. `plan` and `replies` are those of the turn."""

    turn_id: str | None
    session_id: str | None
    cost_usd: str
    platform_cost_usd: str
    plan: dict[str, Any] | None
    replies: list[dict[str, Any]]


class ChatCompletionView(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoiceView]
    usage: ChatUsageView
    pantheon: PantheonView


class OpenAiErrorView(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiProblemView(BaseModel):
    """An error in OpenAI's form. `code` is Pantheon's."""

    error: OpenAiErrorView
