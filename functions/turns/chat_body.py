"""Bodies of POST /v1/chat/completions. Unknown fields are ignored, and wrong types are 422."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from functions.field_types import Amount, Count, Id
from functions.field_types import Text as Answer
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
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = Field(
        description="Messages of `tool` and `function` are ignored.", examples=["user"]
    )
    content: Annotated[Any, WithJsonSchema(_TEXTS)] = Field(
        default=None, description="Text, or a list of parts with text.", examples=["Describe Paris in one sentence."]
    )


class StreamOptions(_Lenient):
    """Options of a streamed answer."""

    include_usage: bool | None = Field(
        default=None, description="Send the tokens in a last chunk. Null: false.", examples=[True]
    )


class ChatMetadata(_Lenient):
    """Names of the conversation. A header with its name wins over both."""

    session_id: str | None = Field(default=None, description="Name of the conversation.", examples=["paris-1"])
    conversation_id: str | None = Field(
        default=None, description="Name of the conversation, if `session_id` is missing.", examples=["paris-1"]
    )


class ChatBody(_Lenient):
    """A request of OpenAI's chat completions. Fields that are not listed are ignored, `tools` too."""

    model: Annotated[Text, Field(min_length=1)] = Field(
        description="Key of an agent or a council, or `alias/` and the name of an alias.", examples=["writer"]
    )
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] = Field(
        description="The conversation, oldest first. The last message is the user's."
    )
    stream: bool | None = Field(default=None, description="Answer in chunks. Null: false.", examples=[False])
    stream_options: StreamOptions | None = Field(default=None, description="Options of a streamed answer.")
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Lowers the output cap of each reply, in tokens.", examples=[512]
    )
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="As `max_tokens`. The lower of the two counts.", examples=[512]
    )
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = Field(
        default=None, description="For agents without a temperature of their own.", examples=[0.7]
    )
    n: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of choices. More than 1 is 400 `unsupported`.", examples=[1]
    )
    tool_choice: Any = Field(
        default=None, description="`required` or the name of a function is 400 `unsupported`.", examples=["auto"]
    )
    metadata: ChatMetadata | None = Field(default=None, description="Names of the conversation.")
    conversation_id: str | None = Field(
        default=None, description="Name of the conversation, if `metadata` has none.", examples=["paris-1"]
    )


class PromptTokensView(BaseModel):
    """Parts of `prompt_tokens`."""

    cached_tokens: Count = Field(description="Tokens that providers read from a cache.")


class CompletionTokensView(BaseModel):
    """Parts of `completion_tokens`."""

    reasoning_tokens: Count = Field(description="Tokens of thinking.")


class ChatUsageView(BaseModel):
    """Tokens of all calls of the turn."""

    prompt_tokens: Count = Field(description="Tokens of the prompts, cached ones included.")
    completion_tokens: Count = Field(description="Tokens of the answers, thinking included.")
    total_tokens: Count = Field(description="Sum of both.")
    prompt_tokens_details: PromptTokensView = Field(description="Parts of `prompt_tokens`.")
    completion_tokens_details: CompletionTokensView = Field(description="Parts of `completion_tokens`.")


class ChatAnswerView(BaseModel):
    """The answer as a message."""

    role: Literal["assistant"] = Field(description="Always `assistant`.", examples=["assistant"])
    content: Answer = Field(description="The output of the turn.")


class ChatChoiceView(BaseModel):
    """The only choice."""

    index: int = Field(description="Always 0.", examples=[0])
    message: ChatAnswerView = Field(description="The answer.")
    finish_reason: Literal["stop", "length"] = Field(
        description="`length`: a reply was cut at its cap or its size limit.", examples=["stop"]
    )


class PantheonView(BaseModel):
    """The facts about the turn that OpenAI's answer lacks."""

    turn_id: Id | None = Field(description="Id of the turn. Null for a call of an alias.")
    session_id: Id | None = Field(description="Id of the session. Null for a call of an alias.")
    cost_usd: Amount = Field(description="The tenant's cost, in USD.")
    platform_cost_usd: Amount = Field(description="The platform's cost, in USD.")
    plan: dict[str, Any] | None = Field(
        description="The plan of the turn. Null for a call of an alias.",
        examples=[{"selected_agent_keys": ["writer"], "source": "default", "unknown_tags": []}],
    )
    replies: list[dict[str, Any]] = Field(description="The replies of the turn, as in a turn.", examples=[[]])


class ChatCompletionView(BaseModel):
    """An answer of OpenAI's chat completions."""

    id: str = Field(
        description="`chatcmpl-` and the id of the turn, or of the call for an alias.",
        examples=["chatcmpl-019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"],
    )
    object: Literal["chat.completion"] = Field(description="Always `chat.completion`.", examples=["chat.completion"])
    created: int = Field(description="When the turn was accepted, in seconds since 1970.", examples=[1_796_040_000])
    model: str = Field(description="The model as the request named it.", examples=["writer"])
    choices: list[ChatChoiceView] = Field(description="One choice.")
    usage: ChatUsageView = Field(description="Tokens of all calls of the turn.")
    pantheon: PantheonView = Field(description="The turn and its cost.")


class OpenAiErrorView(BaseModel):
    """The fields of OpenAI's errors."""

    message: str = Field(
        description="A sentence for people. It can change.",
        examples=["There is no enabled agent, no council and no alias with this name."],
    )
    type: str = Field(description="OpenAI's word for the status.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field at fault. Null if it is not one field.", examples=["model"])
    code: str | None = Field(description="Pantheon's stable code, for programs.", examples=["unknown_model"])


class OpenAiProblemView(BaseModel):
    """An error in OpenAI's form."""

    error: OpenAiErrorView = Field(description="The error.")
